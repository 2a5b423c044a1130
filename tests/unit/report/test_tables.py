"""Tables for the terminal and for Markdown hold the same numbers, whatever the names are."""

import io
import json
import re

import pytest
from rich.console import Console

from simulations.report.grid import grids
from simulations.report.records import comparison_json, replay_json
from simulations.report.summary import cells, standings
from simulations.report.tables import comparison_table, markdown, replay_table


def text_of(table) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(table)
    return console.file.getvalue()


@pytest.fixture
def runs(make_figures):
    return [
        make_figures(trace=trace, policy=policy, seed=seed, missed_ratio=missed, cost_ratio=cost)
        for trace, policy, missed, cost in [
            ("steady", "hpa", 0.004, 1.4),
            ("steady", "kpa", 0.002, 1.6),
            ("spiky", "hpa", 0.021, 1.2),
            ("spiky", "kpa", 0.009, 1.5),
            ("hopeless", "hpa", 0.5, 9.0),
            ("hopeless", "kpa", 0.6, 8.0),
        ]
        for seed in (1, 2)
    ]


@pytest.fixture
def table(runs):
    return cells(runs, {"steady": True, "spiky": True, "hopeless": False}, {"tts": 0.01})


@pytest.fixture
def grid(table, tts):
    (grid,) = grids(table, standings(table), {"tts": tts})
    return grid


def test_replay_table_states_verdict_and_figures(tts, make_figures):
    text = text_of(replay_table(make_figures(), tts))
    rows = {line.split("  ")[0].strip(): line for line in text.splitlines() if line.strip()}
    assert re.search(r"\bmet\b.*99 % within 0.8 s", rows["objective"])
    for name, value in [("missed", "0.42 %"), ("latency P99", "0.64 s"), ("cost ratio", "1.35×"), ("pod starts", "52")]:
        assert value in rows[name]


def test_uncounted_traces_stand_last(grid):
    assert [(row.name, row.counted) for row in grid.rows] == [("steady", True), ("spiky", True), ("hopeless", False)]


def test_totals_leave_out_what_is_not_counted(grid):
    totals = dict(grid.totals)
    assert totals["kept within 1 %"] == ("1 of 2", "2 of 2")
    assert totals["mean cost"] == ("1.30×", "1.55×")


def test_without_reference_the_cost_is_in_pod_hours(make_figures, tts):
    table = cells([make_figures(cost_ratio=None, reference_pod_hours=None)], {"diurnal": True}, {"tts": 0.01})
    (grid,) = grids(table, standings(table), {"tts": tts})
    assert grid.cost_unit == "pod-hours"
    assert grid.rows[0].entries[0].cost == "18.2"
    assert dict(grid.totals)["mean pod-hours"] == ("18.2",)


def test_a_replay_that_is_missing_leaves_its_place_empty(runs, tts):
    partial = [run for run in runs if (run.trace, run.policy) != ("spiky", "hpa")]
    table = cells(partial, {"steady": True, "spiky": True, "hopeless": False}, {"tts": 0.01})
    (grid,) = grids(table, standings(table), {"tts": tts})
    assert grid.rows[1].entries[0] is None
    assert "–" in text_of(comparison_table(grid))


def test_terminal_and_markdown_show_the_same_numbers(grid):
    numbers = re.compile(r"\d+\.\d+(?:×|%)")
    terminal = numbers.findall(text_of(comparison_table(grid)).replace(" %", "%"))
    document = numbers.findall(markdown((grid,), "How it was run.").replace(" %", "%"))
    assert terminal == document
    assert len(terminal) == 2 * 2 * 3 + 2 * 3


def test_markdown_table_is_well_formed_with_any_name(make_figures, tts):
    runs = [make_figures(policy="a|b<script>", trace="*[x](y)")]
    table = cells(runs, {"*[x](y)": True}, {"tts": 0.01})
    lines = markdown(grids(table, standings(table), {"tts": tts}), "Note.").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert not re.search(r"(?<!\\)<script", "\n".join(lines))


def test_markup_in_a_name_is_shown_as_it_is(make_figures, tts):
    table = cells([make_figures(policy="[bold]x[/]")], {"diurnal": True}, {"tts": 0.01})
    (grid,) = grids(table, standings(table), {"tts": tts})
    assert "[bold]x[/]" in text_of(comparison_table(grid))


KEYS = {
    "requests", "missed_ratio", "latency_p50_s", "latency_p99_s", "pod_hours", "standby_pod_hours",
    "reference_pod_hours", "cost_ratio", "scale_ups", "scale_downs", "pod_starts", "seed", "policy", "trace",
    "workload", "version",
}  # fmt: skip


def test_json_of_a_replay_has_what_is_promised(make_figures):
    record = json.loads(replay_json(make_figures(latency_p99_s=float("nan"))))
    assert record.keys() >= KEYS
    assert record["latency_p99_s"] is None


def test_json_is_the_same_bytes_for_the_same_results(runs, table):
    first = comparison_json(runs, table, standings(table))
    assert first == comparison_json(list(runs), tuple(table), list(standings(table)))
    record = json.loads(first)
    assert [len(record[name]) for name in ("replays", "cells", "standings")] == [12, 6, 2]
    assert list(record["replays"][0]) == sorted(record["replays"][0])
