"""`autoscaler trace` as a user sees it."""

import hashlib
import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from autoscaler.cli.trace import app
from autoscaler.model import InvalidInput, MissingExtra
from simulations.traffic import find

LOG = 'a - - [01/Feb/2024:00:00:{:02} +0100] "GET / HTTP/1.1" 200 1\n'


def run(*arguments: object):
    """Output and exit code; InvalidInput comes out as an exception, as `autoscaler.cli.app.run` gets it."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, InvalidInput):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_convert_writes_counts_and_says_what_was_left_out(put, tmp_path):
    log = put("web.log.gz", "".join(LOG.format(second) for second in range(30)) + "oops\n")
    result = run("convert", log, "-o", tmp_path / "web.csv", "--bin", "10s")
    assert (tmp_path / "web.csv").read_text() == "timestamp_s,count\n0,10\n10,10\n20,10\n"
    assert "30 requests in 3 bins of 10 s" in result.stderr
    assert f"{log}:31: 'oops'" in result.stderr
    assert "second 0 is 2024-02-01 00:00:00 on the recording's clock; --clock writes it" in result.stderr
    assert not result.stdout


def test_convert_keeps_the_clock_where_asked(put, tmp_path):
    log = put("web.log", LOG.format(0) + LOG.format(59))
    run("convert", log, "-o", tmp_path / "web.csv.gz", "--clock")
    assert find(str(tmp_path / "web.csv.gz")).start_s == 1706745600


def test_convert_takes_a_name(tmp_path):
    run("convert", "burst", "-o", tmp_path / "t.parquet", "--bin", "1m")
    np.testing.assert_allclose(find(str(tmp_path / "t.parquet")).counts, [120] * 3 + [2100] * 5 + [120] * 2)


def test_synth_writes_a_shape(tmp_path):
    run("synth", "constant:rate=2,for=1m", "-o", tmp_path / "t.csv", "--bin", "30s")
    assert (tmp_path / "t.csv").read_text() == "timestamp_s,count\n0,60\n30,60\n"


def test_show_as_json():
    facts = json.loads(run("show", "burst", "--json", "--service-time", "200ms").stdout)
    assert (facts["requests"], facts["peak_busy_pods"], facts["duration_s"]) == (11100, 7, 600)
    assert facts["character"] == "uneven: busiest minute 1.9x the mean"
    assert facts["labels"] == {"format": "made", "shape": "burst"}


def test_show_as_a_table_with_the_files_hash(put):
    path = put("t.csv", "timestamp_s,count\n0,60\n60,120\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads(run("show", path, "--json").stdout)["sha256"] == {str(path): digest}
    output = run("show", path).stdout
    assert "180 requests" in output
    assert "mean 1.50, busiest minute 2.0" in output
    assert digest in output.replace("\n", "").replace(" ", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "nothing-like-it", "-o", "x.csv"], "trace 'nothing-like-it': no such file or name"),
        (["convert", "burst", "-o", "x.txt"], "allowed endings are"),
        (["convert", "burst", "-o", "x.csv", "--bin", "10"], "--bin: '10' — allowed is a duration with its unit"),
        (["convert", "burst", "-o", "x.csv", "--bin", "0s"], "--bin: '0s' — allowed is a duration above 0"),
        (["convert", "burst", "-o", "x.csv", "--max-malformed", "3"], "--max-malformed: '3' — allowed is a share"),
        (["convert", "burst", "-o", "x.csv", "--function", "f"], "function — allowed for files alone"),
        (["record", "up", "-o", "x.json", "--prometheus", "ftp://x"], "prometheus url: 'ftp://x'"),
        (["record", "up", "-o", "x.csv", "--prometheus", "http://x"], "x.csv: allowed endings are .json, .json.gz"),
        (["record", "up", "-o", "x.json", "--prometheus", "http://x", "--from", "soon"], "--from: 'soon' — allowed is"),
        (["record", "up", "-o", "x.json", "--prometheus", "http://x", "--to", "2999-01-01"], "--to: '2999-01-01'"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[-2:]),
)
def test_refused(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as refused:
        run(*arguments)
    assert message in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["convert", "burst", "-o", "x.csv"], ["show", "burst"], ["synth", "burst", "-o", "x.csv"], ["record", "up"]],
    ids=lambda arguments: arguments[0],
)
def test_without_the_extra_it_is_named(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for module in [name for name in sys.modules if name.startswith(("simulations.traffic", "pyarrow"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    if arguments[0] == "record":
        arguments = [*arguments, "-o", "x.json", "--prometheus", "http://x"]
    with pytest.raises(MissingExtra, match=r"pip install 'speech-autoscaler\[simulations\]'"):
        run(*arguments)
