"""Starts that never end, on requests and pods: what serves is enough all the same."""

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
