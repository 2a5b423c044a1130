"""Starts that never end, on requests and pods: what serves is enough all the same. And starts that nobody needs."""

import numpy as np
import pytest

from autoscaler.loop import Target
from autoscaler.policies.build import build
from autoscaler.spec import find_policy
from simulations.run import Case, run
from simulations.traffic import Trace
from simulations.world import Conditions

JUMP = np.concatenate([np.full(600, 10.0), np.full(1200, 50.0)])
"""1.8 busy pods, then 9."""


def replayed(hang_ratio: float):
    loaded = find_policy("predictive-tts")
    policy, rails = build(loaded)
    conditions = Conditions(hang_ratio=hang_ratio)
    trace = Trace("jump", 1.0, JUMP)
    return run(Case(trace, loaded.serving(None), "x", lambda _history: Target("x", policy, rails), 1, conditions))


@pytest.fixture(scope="module")
def runs():
    return {hang_ratio: replayed(hang_ratio) for hang_ratio in (0.0, 0.1)}


def test_as_many_serve_in_the_end_as_without_starts_that_hang(runs):
    hung, whole = (runs[ratio].timeline.serving[-30:].mean() for ratio in (0.1, 0.0))
    assert hung == pytest.approx(whole, abs=0.5)
    assert any(stage == "starts" for change in runs[0.1].changes for stage, *_ in change.reasons)


def test_orders_do_not_storm(runs):
    hung, whole = (runs[ratio].timeline for ratio in (0.1, 0.0))
    assert (hung.serving + hung.starting).max() <= 1.25 * (whole.serving + whole.starting).max() + 1


def test_a_load_that_stays_as_it_is_starts_nothing_by_the_chance_of_its_arrivals():
    hours, mean_rps = 10, 55.0
    counts = np.random.default_rng(7).poisson(mean_rps, hours * 3600).astype(float)
    loaded = find_policy("predictive-asr")
    steady = Trace("steady", 1.0, counts, eval_start_s=6 * 3600.0)

    def target(history):
        policy, rails = build(loaded, history=history)
        return Target("x", policy, rails)

    found = run(Case(steady, loaded.serving(None), "x", target, 1, Conditions())).figures
    assert found.pod_starts <= 30, "115 when the last five seconds decided"
    assert found.missed_ratio <= 0.01
