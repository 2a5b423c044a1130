"""Options of the contract tests."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--vectors",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="play this file of peer vectors (.json or .json.gz) instead of the bundled ones; may be repeated",
    )
