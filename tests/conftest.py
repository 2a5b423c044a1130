"""What holds for all tests."""

import signal

from hypothesis import settings
from rig.skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

# What a shell runs in its background ignores Ctrl-C, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared machine may be busy: how long one example takes says nothing of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
