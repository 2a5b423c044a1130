"""How the command ends where its surroundings end it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from autoscaler.cli import main; main()", "check", "hpa"]

IMPORTING = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class CtrlC(MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
from autoscaler.cli import main
main()
"""


@pytest.fixture
def closed_pipe():
    """The standard output of a command whose reader has left, as `| head` does."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_a_reader_that_left_early_is_no_fault(closed_pipe):
    ended = subprocess.run(COMMAND, stdout=closed_pipe, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_full_disk_behind_the_standard_output_is_said():
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (2, "standard output: No space left on device\n")


def test_ctrl_c_while_it_is_imported_ends_it_without_a_traceback():
    ended = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (130, "")
