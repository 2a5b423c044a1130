"""What a controller writes to its log."""

import json
import logging
import sys
import threading
from io import StringIO

import pytest
import structlog

from autoscaler.cli.run import _log_as_json


@pytest.fixture
def lines(monkeypatch):
    """What stands on stderr, line by line, once logging is as in a controller."""
    written = StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    _log_as_json()
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:], root.level = before, level


def test_every_line_is_json_whoever_writes_it_from_whatever_thread(lines):
    ours, library = structlog.get_logger("ours"), logging.getLogger("a.library")

    def talk():
        for number in range(50):
            ours.info("said", number=number)
            library.warning("beware of %d", number)

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lines()
    assert len(found) == 4 * 100
    assert {line["level"] for line in found} == {"info", "warning"}
    assert {line["event"] for line in found if line["level"] == "warning"} == {f"beware of {n}" for n in range(50)}


def test_a_tick_that_is_skipped_is_no_line(lines):
    logging.getLogger("apscheduler.scheduler").warning("maximum number of running instances reached")
    assert lines() == []
