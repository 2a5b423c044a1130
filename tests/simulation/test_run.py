"""One replay: what is scored, what is kept, and that nothing depends on chance."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from simulation.cases import TTS, fixed, scripted, steady

from autoscaler.decide import Rails
from autoscaler.model import Batching, InvalidInput, Phase
from simulations.draw import draw
from simulations.engine import PodLog
from simulations.run import Case, run
from simulations.score import lower_bound_s, phases, quantiles
from simulations.traffic import Trace
from simulations.world import Conditions


class Kept:
    def __init__(self):
        self.ticks = []

    def append(self, tick):
        self.ticks.append(tick)


def busy(name="busy"):
    """Quiet, then a burst that two pods cannot serve."""
    return Trace(name, 1.0, np.concatenate([np.full(300, 5.0), np.full(120, 40.0), np.full(180, 5.0)]))


def test_the_same_case_gives_the_same_bytes():
    case = Case(busy(), TTS, "x", scripted((-math.inf, 2, 0), (310.0, 9, 2), (450.0, 3, 0)))
    assert pickle.dumps(run(case)) == pickle.dumps(run(case))


def test_constant_pods_cost_their_time_in_the_scored_window():
    figures = run(Case(steady(5.0, 1320), TTS, "x", fixed(3))).figures
    assert figures.pod_hours == pytest.approx(3 * 1200 / 3600)
    assert (figures.starting_pod_hours, figures.standby_pod_hours) == (0.0, 0.0)
    assert (figures.scale_ups, figures.scale_downs, figures.pod_starts) == (0, 0, 0)
    assert figures.decisions == math.ceil((1320 - 3) / 5)
    assert figures.requests == 6000
    assert figures.late + figures.left == round(figures.missed_ratio * figures.requests)


def test_a_pod_costs_from_its_order_to_its_end():
    case = Case(steady(1.0), TTS, "x", scripted((-math.inf, 1, 0), (203.0, 2, 0), (303.0, 1, 0)))
    figures = run(case).figures
    assert figures.pod_hours * 3600 == pytest.approx(480 + 100, abs=1.0)
    assert 8 < figures.starting_pod_hours * 3600 < 30
    assert (figures.scale_ups, figures.scale_downs, figures.pod_starts) == (1, 1, 1)


def test_what_stands_by_is_counted_apart():
    case = Case(steady(1.0), TTS, "x", scripted((-math.inf, 1, 1), rails=Rails(1, 60)))
    figures = run(case).figures
    assert figures.standby_pod_hours * 3600 == pytest.approx(480.0)
    assert figures.pod_hours * 3600 == pytest.approx(960.0)


def test_who_leaves_misses_and_has_no_latency():
    figures = run(Case(steady(20.0), replace(TTS, patience_s=1.0), "x", fixed(1))).figures
    assert figures.left > 0.5 * figures.requests
    assert figures.latency_p99_s < 1.0 + 2.0


def test_a_full_line_turns_requests_away():
    figures = run(Case(steady(20.0), TTS, "x", fixed(1), conditions=Conditions(line=3))).figures
    assert figures.left > 0.5 * figures.requests
    assert figures.latency_p99_s < 4 * 0.18 * 5


def test_a_trace_no_longer_than_the_warm_up_is_refused():
    with pytest.raises(InvalidInput, match=r"trace steady: 120 s are left .* warm-up of 120 s"):
        run(Case(steady(1.0, 120), TTS, "x", fixed(1)))


def test_a_trace_without_requests_has_no_misses():
    figures = run(Case(steady(0.0), TTS, "x", fixed(1))).figures
    assert (figures.requests, figures.missed_ratio) == (0, 0.0)
    assert math.isnan(figures.latency_p99_s)
    assert figures.lower_bound_pod_hours == figures.pod_hours == pytest.approx(480 / 3600)


def test_the_cost_is_compared_with_a_reference_that_is_given():
    figures = run(Case(steady(1.0), TTS, "x", fixed(2)), reference_pod_hours=0.2).figures
    assert figures.cost_ratio == figures.pod_hours / 0.2


def test_the_timeline_adds_up_to_the_figures():
    case = Case(busy(), TTS, "x", scripted((-math.inf, 2, 0), (310.0, 9, 2), (450.0, 3, 0)))
    result = run(case)
    figures, line = result.figures, result.timeline
    scored = slice(int(120 / line.step_s), None)
    assert line.arrivals[scored].sum() == figures.requests
    assert line.late[scored].sum() == figures.late
    assert line.left[scored].sum() == figures.left
    held = line.serving + line.starting + line.standby + line.draining
    assert held[scored].sum() * line.step_s / 3600 == pytest.approx(figures.pod_hours)
    assert line.standby[scored].sum() * line.step_s / 3600 == pytest.approx(figures.standby_pod_hours)
    assert line.queued.max() > 100
    assert np.nanmax(line.latency_p99_s) >= figures.latency_p99_s >= np.nanmin(line.latency_p50_s)


def test_changes_are_kept_with_their_reasons_and_every_tick_goes_on_to_the_journal():
    journal = Kept()
    result = run(Case(steady(1.0), TTS, "x", scripted((-math.inf, 1, 0), (203.0, 2, 0))), journal)
    assert [(change.at_s, change.serving) for change in result.changes] == [(3.0, 1), (203.0, 2)]
    assert result.changes[1].reasons == (("script", 2, 0, "as written"),)
    assert len(journal.ticks) == result.figures.decisions


def test_the_target_may_look_at_the_history():
    histories = []

    def target(history):
        histories.append(history)
        return fixed(1)(history)

    run(Case(steady(4.0, history_s=300), TTS, "x", target))
    assert [len(history.counts) for history in histories] == [300]


def test_a_shrink_takes_starting_pods_before_standby_before_serving():
    seen = []
    sizes = [(-math.inf, 2, 0), (53.0, 2, 1), (103.0, 2, 2), (108.0, 2, 1), (113.0, 2, 0), (118.0, 1, 0)]
    run(Case(steady(1.0), TTS, "x", scripted(*sizes, seen=seen)))
    counts = {
        observation.at_s: tuple(observation.fleet.count(p) for p in (Phase.STARTING, Phase.STANDBY, Phase.SERVING))
        for observation in seen
    }
    assert [counts[at_s] for at_s in (103.0, 108.0, 113.0, 118.0, 123.0)] == [
        (0, 1, 2),
        (1, 1, 2),
        (0, 1, 2),
        (0, 0, 2),
        (0, 0, 1),
    ]


# ---------------------------------------------------------------- scoring


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0, 0, 10, 10, 50, 52), {"starting": (0, 10), "serving": (10, 50), "draining": (50, 52)}),
        ((0, 0, math.nan, math.nan, 5, 5), {"starting": (0, 5)}),
        ((0, math.nan, math.nan, math.nan, 5, 5), {}),
        ((0, 0, 10, math.nan, 30, 30), {"starting": (0, 10), "standby": (10, 30)}),
        ((0, 0, 10, 20, math.nan, math.nan), {"starting": (0, 10), "standby": (10, 20), "serving": (20, 100)}),
        ((0, 40, math.nan, math.nan, math.nan, math.nan), {"starting": (40, 100)}),
        ((0, 0, 10, 10, 99, 101), {"starting": (0, 10), "serving": (10, 99), "draining": (99, 100)}),
    ],
    ids=[
        "a whole life",
        "cancelled",
        "never placed",
        "only stood by",
        "still serving",
        "waited for a GPU",
        "past the end",
    ],
)
def test_a_pods_life_is_split_into_phases(times, expected):
    log = PodLog(*(np.array([float(at_s)]) for at_s in times), np.zeros(1, bool), np.zeros(1, np.int32))
    held = phases(log, 100.0)
    for name in ("starting", "standby", "serving", "draining"):
        begin, end = getattr(held, name)
        found = (begin[0], end[0])
        assert found == expected.get(name, found)
        assert name in expected or found[0] == found[1]


def test_quantiles_are_values_that_occurred():
    assert quantiles(np.arange(1.0, 101.0)) == (50.0, 99.0)
    assert quantiles(np.array([3.0])) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        (TTS, lambda cheapest_s: cheapest_s.sum()),
        (replace(TTS, concurrency=4), lambda cheapest_s: max(480.0, cheapest_s.sum() / 4)),
        (
            replace(TTS, batching=Batching(4, 0.5)),
            lambda cheapest_s: 0.5 * cheapest_s.sum() + 0.5 * TTS.service_mean_s / 4 * len(cheapest_s),
        ),
    ],
    ids=["one at a time", "four slots", "batches"],
)
def test_no_plan_is_cheaper_than_the_service_time_of_the_cheapest_requests(workload, expected):
    traffic = draw(steady(20.0), workload, 1)
    scored_s = np.sort(traffic.service_s[traffic.arrival_s >= 120.0])
    cheapest_s = scored_s[: math.ceil(0.99 * len(scored_s))]
    assert lower_bound_s(traffic, workload, 120.0) == pytest.approx(expected(cheapest_s))
