"""A test that is skipped where nothing may be missing fails: a pytest plugin, switched on by SPEECH_NO_SKIPS=1."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

SWITCH = "SPEECH_NO_SKIPS"
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test, or a part that it needs; one that is expected to fail is none that was skipped."""
    report = yield
    return report if hasattr(report, "wasxfail") else _strict(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole file."""
    return _strict((yield))


def _strict(report: Report) -> Report:
    if report.skipped and os.environ.get(SWITCH):
        report.outcome = "failed"
        report.longrepr = f"skipped, which {SWITCH} forbids: {report.longrepr[-1] if report.longrepr else ''}"
    return report
