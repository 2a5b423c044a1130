"""A comparison gives the same results wherever it is computed, and goes on where it was interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoscaler.model import InvalidInput, Routing, Unreachable
from autoscaler.spec import find_policy, find_workload
from simulations.compare import Comparison, closeups, summary
from simulations.replay import trace_digest
from simulations.report.records import comparison_json
from simulations.store import Store, decode, encode
from simulations.traffic.find import find
from simulations.workers import Workers, finish

HERE = Workers(cores=1)
COMMAND = [sys.executable, "-c", "from autoscaler.cli import main; main()"]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return Comparison(
        policies=(find_policy("fixed"), find_policy("hpa")),
        traces=(find("burst"), find("step:from=2,to=8,for=8m")),
        workloads=(find_workload("tts"),),
        seeds=(1, 2),
    )


@pytest.fixture(scope="module")
def store(comparison, tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    list(finish(comparison.jobs(), store, HERE))
    return store


def record_of(comparison: Comparison, store: Store) -> bytes:
    found = summary(comparison, store)
    return comparison_json(found.figures, found.cells, found.standings)


def test_progress_counts_from_what_is_there_to_what_is_wanted(comparison, tmp_path):
    some = comparison.replays()[:3]
    assert list(finish(some, Store(tmp_path), HERE)) == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert list(finish(some, Store(tmp_path), HERE)) == [(3, 3)]


@pytest.mark.parametrize("of_figures", [True, False], ids=["figures", "whole result"])
def test_a_damaged_result_is_named(store, comparison, tmp_path, of_figures):
    key = comparison.jobs()[0].key()
    whole = (store.folder / f"{key}.npz").read_bytes()
    (tmp_path / f"{key}.npz").write_bytes(whole[: len(whole) // 2])
    damaged = Store(tmp_path)
    with pytest.raises(InvalidInput, match=f"{key}.npz: damaged — remove it"):
        damaged.figures(key) if of_figures else damaged.load(key)


def test_every_place_of_the_table_is_filled(comparison, store):
    (grid,) = summary(comparison, store).grids
    assert grid.policies == ("fixed", "hpa")
    assert [row.name for row in grid.rows] == ["burst", "step:from=2,to=8,for=8m"]
    assert all(entry is not None for row in grid.rows for entry in row.entries)


def test_costs_are_measured_against_one_plan_for_all_policies(comparison, store):
    found = summary(comparison, store).figures
    assert all(each.cost_ratio == each.pod_hours / each.reference_pod_hours for each in found)
    plans = {(each.trace, each.seed): set() for each in found}
    for each in found:
        plans[each.trace, each.seed].add(each.reference_pod_hours)
    assert [len(costs) for costs in plans.values()] == [1, 1, 1, 1]


def test_no_routing_and_no_bounds_of_a_policy_change_the_plan(comparison):
    routed = replace(comparison, routings=(Routing.SHARED_QUEUE, Routing.RANDOM))
    assert len(routed.replays()) == 2 * len(comparison.replays())
    assert len({job.key() for job in routed.jobs()}) == len({job.key() for job in comparison.jobs()}) + 8


def test_a_plan_is_not_made_where_nobody_asks(comparison):
    assert replace(comparison, with_reference=False).jobs() == comparison.replays()


def test_the_page_shows_the_first_seed_over_time(comparison, store):
    shown = closeups(comparison, store)
    assert len(shown) == 4
    assert {each.figures.seed for each in shown} == {1}


def test_the_same_inputs_give_the_same_bytes(comparison, store, tmp_path):
    again = Store(tmp_path)
    list(finish(comparison.jobs(), again, HERE))
    assert record_of(comparison, again) == record_of(comparison, store)


def test_several_processes_find_what_one_finds(comparison, store, tmp_path):
    parallel = Store(tmp_path)
    list(finish(comparison.jobs(), parallel, Workers(cores=2)))
    assert record_of(comparison, parallel) == record_of(comparison, store)


def test_what_is_stored_is_what_was_found(comparison):
    result = comparison.replays()[0].run()
    again = decode(encode(result))
    assert again.figures == result.figures
    assert again.changes == result.changes
    for name in ("arrivals", "serving", "latency_p99_s"):
        assert np.array_equal(getattr(again.timeline, name), getattr(result.timeline, name), equal_nan=True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r: replace(r, seed=9), id="seed"),
        pytest.param(lambda r: replace(r, trace=replace(r.trace, counts=r.trace.counts + 1)), id="traffic"),
        pytest.param(lambda r: replace(r, trace=replace(r.trace, scale=0.5)), id="scale"),
        pytest.param(lambda r: replace(r, trace=replace(r.trace, gaps_s=((0.0, 60.0),))), id="gaps"),
        pytest.param(lambda r: replace(r, workload=replace(r.workload, objective_s=2.0)), id="workload"),
        pytest.param(lambda r: replace(r, workload=replace(r.workload, routing=Routing.RANDOM)), id="routing"),
        pytest.param(lambda r: replace(r, policy=find_policy("hpa")), id="policy"),
        pytest.param(lambda r: replace(r, conditions=replace(r.conditions, scrape_s=15.0)), id="conditions"),
    ],
)
def test_whatever_a_result_depends_on_is_in_its_key(comparison, change):
    replay = comparison.replays()[0]
    assert change(replay).key() != replay.key()


def test_the_models_that_a_policy_borrows_are_in_its_key(comparison, monkeypatch):
    replay = replace(comparison.replays()[0], policy=find_policy("predictive-tts"))
    before = replay.key()
    monkeypatch.setattr(Path, "read_bytes", lambda _path: b"other models")
    assert replay.key() != before


def test_where_a_trace_was_found_is_not_in_its_key(comparison):
    trace = comparison.traces[0]
    assert trace_digest(replace(trace, labels={"path": "elsewhere"})) == trace_digest(trace)


def test_other_code_makes_other_keys(comparison, monkeypatch):
    replay = comparison.replays()[0]
    before = replay.key()
    monkeypatch.setattr("simulations.replay.code_version", lambda: "other")
    assert replay.key() != before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"seeds": ()}, "nothing is named", id="no seed"),
        pytest.param({"seeds": (1, 1)}, "named 2 times", id="a seed twice"),
        pytest.param({"policies": (find_policy("hpa"), find_policy("hpa"))}, "policy hpa", id="two of one name"),
    ],
)
def test_a_name_means_one_thing_in_a_table(comparison, change, problem):
    with pytest.raises(InvalidInput, match=problem):
        replace(comparison, **change)


def test_traces_that_are_too_short_are_named_before_the_first_replay(comparison):
    short = [
        replace(find("constant:for=2m"), name="two-minutes"),
        replace(find("burst"), name="late", eval_start_s=1e6),
    ]
    with pytest.raises(InvalidInput) as refused:
        replace(comparison, traces=(*comparison.traces, *short))
    assert [problem.partition(" s long")[0] for problem in refused.value.problems] == [
        "trace two-minutes: 120",
        "trace late: 600",
    ]


def test_a_scheduler_that_does_not_answer_is_named(comparison, tmp_path, monkeypatch):
    monkeypatch.setattr("simulations.workers.DASK_TIMEOUT_S", 0.5)
    with pytest.raises(Unreachable, match=r"tcp://127\.0\.0\.1:9"):
        list(finish(comparison.jobs(), Store(tmp_path), Workers(dask="tcp://127.0.0.1:9")))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_two_worker_processes_of_a_dask_scheduler_find_what_one_process_finds(comparison, store, tmp_path):
    from distributed import LocalCluster

    remote = Store(tmp_path)
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster:
        list(finish(comparison.jobs(), remote, Workers(dask=cluster.scheduler_address)))
    assert record_of(comparison, remote) == record_of(comparison, store)


# --- Ctrl-C ---------------------------------------------------------------------------------------------------


def command(folder: Path, out: str) -> list[str]:
    traces = "diurnal:low=3,high=60,for=8h"
    return [
        *COMMAND, "compare", "--policies", "hpa,keda,kpa", "--traces", traces, "--seeds", "1,2", "--jobs", "2",
        "--no-reference", "--out", out, "--json", str(folder / f"{out}.json"),
    ]  # fmt: skip


MASKS = """
import signal
from simulations.workers import Workers, spread

masks = spread(signal.pthread_sigmask, [(signal.SIG_BLOCK, ())] * 2, Workers(cores=2))
print([signal.SIGINT in mask for mask in masks], signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_ctrl_c_reaches_the_command_and_no_process_that_computes():
    found = subprocess.run([sys.executable, "-c", MASKS], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "[True, True] False\n"


LEFT = """
import time
from simulations.workers import Workers, spread

results = spread(time.sleep, [(seconds,) for seconds in (0, 60, 60)], Workers(cores=2))
next(results)
results.close()
"""


def test_replays_that_nobody_waits_for_any_more_end_at_once_and_without_a_word():
    found = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, check=True, timeout=50)
    assert found.stdout + found.stderr == ""


def wait_until(condition, seconds: float = 120.0) -> None:
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.02)


def of_group(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it is gone by now
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@contextmanager
def started(folder: Path, out: str):
    process = subprocess.Popen(
        command(folder, out), cwd=folder, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        for pid in of_group(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["the process", "its whole group, as a terminal does"])
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path, whom):
    results = tmp_path / "out"
    with started(tmp_path, "out") as process:
        wait_until(lambda: list(results.glob("*.npz")))
        if whom == "the process":
            process.send_signal(signal.SIGINT)
        else:
            os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        wait_until(lambda: not of_group(process.pid), 10)
    assert process.returncode == 130, errors.decode()
    assert b"goes on from there" in errors
    assert b"Traceback" not in errors
    kept = {path.name: path.stat().st_mtime_ns for path in results.glob("*.npz")}
    assert 1 <= len(kept) < 6
    assert not list(results.glob(".*")), "a file that was half written is left"

    subprocess.run(command(tmp_path, "out"), cwd=tmp_path, check=True, capture_output=True, timeout=200)
    after = {path.name: path.stat().st_mtime_ns for path in results.glob("*.npz")}
    assert len(after) == 6
    assert {name: after[name] for name in kept} == kept
    assert len(json.loads((tmp_path / "out.json").read_bytes())["replays"]) == 6
