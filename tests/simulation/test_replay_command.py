"""`autoscaler replay` and `autoscaler compare`, as a user types them."""

import errno
import json
import os
import re
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from autoscaler.cli.app import app
from autoscaler.cli.compare import split, split_traces
from autoscaler.cli.output import prepare, write
from autoscaler.journal.log import read
from autoscaler.model import InvalidInput

PROMISED = {
    "requests", "missed_ratio", "latency_p50_s", "latency_p99_s", "pod_hours", "standby_pod_hours",
    "reference_pod_hours", "cost_ratio", "scale_ups", "scale_downs", "pod_starts", "seed", "policy", "trace",
    "workload", "version",
}  # fmt: skip


SUM = "diurnal:low=3,for=7d + spike:peak=40,at=9h"


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


def replay(*arguments: object):
    return run("replay", "--policy", "hpa", "--trace", "burst", "--no-reference", *arguments)


def test_the_table_states_the_verdict_and_the_figures():
    result = replay()
    assert result.exit_code == 0
    headline, *rows = result.stdout.splitlines()
    assert re.match(r"hpa did not meet 99 % within 0\.8 s: missed [\d.]+ %; [\d.]+ pod-hours\.", headline)
    names = {row.split("  ")[0].strip() for row in rows}
    assert names >= {"objective", "missed", "latency P50", "latency P99", "pod-hours", "cost ratio", "pod starts"}


def test_json_goes_where_it_is_wanted_and_is_the_same_every_time(tmp_path):
    printed = replay("--json", "-").stdout
    written = tmp_path / "figures.json"
    replay("--json", written)
    assert written.read_text() == printed
    assert json.loads(printed).keys() >= PROMISED


def test_a_decision_log_that_a_full_disk_refused_is_told_below_the_table(tmp_path, monkeypatch):
    journal = tmp_path / "decisions.jsonl"
    journal.write_text("before\n")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "write", Mock(side_effect=full))
    result = replay("--journal", journal)
    assert result.stdout.startswith("hpa did not meet 99 %")
    assert "decision log cannot be written" in result.stderr
    assert isinstance(result.exception, InvalidInput)
    assert re.search(r"decisions\.jsonl: \d+ decisions could not be written", str(result.exception))
    assert (journal.read_text(), list(tmp_path.iterdir())) == ("before\n", [journal])


def test_json_says_how_good_the_forecasts_were():
    arguments = ("--policy", "predictive-tts", "--trace", "burst", "--no-reference", "--json", "-")
    insight = json.loads(run("replay", *arguments).stdout)["insight"]
    assert insight.keys() >= {"pinball", "wape", "skill_naive", "coverage_p99", "coverage_p99_by_load", "price"}
    assert json.loads(replay("--json", "-").stdout)["insight"] == {}


def test_the_seed_and_the_routing_matter():
    figures = [json.loads(replay("--json", "-", *more).stdout) for more in ((), ("--seed", 2), ("--routing", "random"))]
    assert [(f["seed"], f["routing"]) for f in figures] == [(1, "shared-queue"), (2, "shared-queue"), (1, "random")]
    assert len({f["latency_p50_s"] for f in figures}) == 3


def test_the_journal_has_every_decision(tmp_path):
    journal = tmp_path / "log.jsonl"
    figures = json.loads(replay("--json", "-", "--journal", journal).stdout)
    ticks = list(read(journal))
    assert len(ticks) == figures["decisions"]
    assert run("explain", journal).exit_code == 0
    first = journal.read_bytes()
    replay("--journal", journal)
    assert journal.read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_the_report_is_a_page(tmp_path):
    page = tmp_path / "report.html"
    assert replay("--report", page).exit_code == 0
    assert "hpa did not meet" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(("--policy", "hpaa"), "did you mean hpa", id="policy"),
        pytest.param(("--trace", "bursts"), "did you mean", id="trace"),
        pytest.param(("--workload", "tss"), "tts", id="workload"),
        pytest.param(("--json", "pyproject.toml/figures.json"), "cannot be written", id="folder of the output"),
        pytest.param(("--json", "tests"), "is a folder", id="a folder as output"),
        pytest.param(("--journal", "-"), "--journal: -", id="a journal on the standard output"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(arguments, problem):
    result = replay(*arguments)
    assert isinstance(result.exception, InvalidInput)
    assert problem in str(result.exception)


@pytest.mark.parametrize("command", ["replay", "compare"])
def test_lines_that_were_passed_over_are_said(tmp_path, command):
    trace = tmp_path / "odd.csv"
    rows = [f"{60 * i},120\n" for i in range(40)]
    trace.write_text("timestamp_s,count\n" + "".join(rows[:-1]) + "2340,many; more\n" + rows[-1])
    named = {"replay": ("--policy", "fixed", "--trace"), "compare": ("--policies", "fixed", "--traces")}[command]
    kept = () if command == "replay" else ("--out", tmp_path / "out", "--jobs", 1)
    result = run(command, *named, trace, "--no-reference", *kept)
    assert "odd: malformed: 1" in result.stderr, result.output
    assert f"  {trace}:41: '2340,many; more' (count: not a number)" in result.stderr.splitlines()


def compare(folder, *arguments: object):
    given = ("--policies", "hpa,fixed", "--traces", "burst,step:from=2,to=8,for=8m", "--jobs", 1, "--no-reference")
    return run("compare", *given, "--out", folder / "out", *arguments)


def test_a_comparison_is_written_in_every_form(tmp_path):
    outputs = {kind: tmp_path / f"found.{kind}" for kind in ("json", "md", "html")}
    result = compare(
        tmp_path, "--json", outputs["json"], "--markdown", outputs["md"], "--report", outputs["html"], "--seeds", "1,2"
    )
    assert result.exit_code == 0, result.output
    record = json.loads(outputs["json"].read_bytes())
    assert len(record["replays"]) == 8
    assert all(each.keys() >= PROMISED for each in record["replays"])
    assert [cell["seeds"] for cell in record["cells"]] == [[1, 2]] * 4
    assert "autoscaler compare --policies hpa,fixed" in outputs["md"].read_text()
    assert "burst" in result.stdout
    assert "fixed kept 2 of 2 traces" in outputs["html"].read_text(encoding="utf-8")


def test_what_is_there_is_not_replayed_again(tmp_path):
    compare(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    result = compare(tmp_path, "--json", "-")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
    assert "4 of 4 replays" in result.stderr
    assert len(json.loads(result.stdout)["replays"]) == 4


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(("--seeds", "1,x"), "--seeds: 'x'", id="seed"),
        pytest.param(("--routing", "fastest"), "shared-queue, least-outstanding", id="routing"),
        pytest.param(("--policies", "hpa,hpa"), "named 2 times", id="a policy twice"),
        pytest.param(("--traces", ","), "nothing is named", id="no trace"),
        pytest.param(("--out", "pyproject.toml"), "pyproject.toml: is no folder for results", id="a file as folder"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path, arguments, problem):
    result = compare(tmp_path, *arguments)
    assert isinstance(result.exception, InvalidInput)
    assert problem in str(result.exception)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("hpa", ["hpa"]),
        ("hpa, kpa,", ["hpa", "kpa"]),
        ("", []),
    ],
)
def test_split(text, names):
    assert split(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("burst,demo", ["burst", "demo"], id="names"),
        pytest.param("step:from=2,to=35,burst", ["step:from=2,to=35", "burst"], id="a shape with parameters"),
        pytest.param("a.csv.gz,./b.csv", ["a.csv.gz", "./b.csv"], id="files"),
        pytest.param(SUM, [SUM], id="a sum of shapes"),
    ],
)
def test_commas_within_a_shape_do_not_end_it(text, names):
    assert split_traces(text) == names


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    write(path, b"old")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Path, "replace", Mock(side_effect=full))
    with pytest.raises(InvalidInput, match=r"figures\.json: cannot be written: No space left on device"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["figures.json"]


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="pipe: is a device or a pipe"):
        prepare(tmp_path / "pipe")


def test_folders_of_outputs_are_made(tmp_path):
    prepare(tmp_path / "new" / "folder" / "figures.json")
    assert (tmp_path / "new" / "folder").is_dir()


def test_two_outputs_never_share_a_file(tmp_path):
    with pytest.raises(InvalidInput, match="named for two outputs"):
        prepare(tmp_path / "a", tmp_path / "a")
