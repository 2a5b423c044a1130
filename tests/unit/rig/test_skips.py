"""Where nothing may be missing, a skip is a failure."""

import os
import subprocess
import sys

import pytest
from rig.programs import REPOSITORY
from rig.skips import SWITCH

PARTS = """
import pytest

@pytest.fixture
def part():
    pytest.skip("no part")

def test_with_a_part(part): pass

def test_itself(): pytest.skip("no luck")

@pytest.mark.skipif(True, reason="no machine")
def test_somewhere(): pass

@pytest.mark.xfail(reason="known")
def test_known(): assert False

def test_well(): pass
"""
A_FILE = "import pytest\npytest.importorskip('no_such_module', reason='no module')\n"
MISSING = ("no part", "no luck", "no machine", "no module")


@pytest.fixture
def run(tmp_path):
    """What pytest says of them, with more in its environment."""
    (tmp_path / "test_parts.py").write_text(PARTS)
    (tmp_path / "test_file.py").write_text(A_FILE)
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "rig.skips", "--continue-on-collection-errors"]
    inherited = {key: value for key, value in os.environ.items() if key not in (SWITCH, "PYTEST_ADDOPTS")}
    own = {"PYTHONPATH": str(REPOSITORY / "tests"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def ran(**environment):
        where = ["--rootdir", tmp_path, "-c", os.devnull, tmp_path]
        environment = inherited | own | environment
        return subprocess.run([*command, *where], capture_output=True, text=True, check=False, env=environment).stdout

    return ran


def test_a_skip_is_a_failure_that_says_what_is_missing(run):
    """Of a part, of a test, by a mark, of a whole file."""
    said = run(**{SWITCH: "1"})
    assert all(f"skipped, which {SWITCH} forbids: Skipped: {each}" in said for each in MISSING[:2])
    assert all(each in said for each in MISSING)
    assert "1 failed, 1 passed, 1 xfailed, 3 errors in" in said


def test_elsewhere_it_is_a_skip(run):
    assert "1 passed, 4 skipped, 1 xfailed in" in run()
