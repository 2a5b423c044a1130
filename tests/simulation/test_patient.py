"""Objectives of seconds to a minute, as the workers of a queue have them."""

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.loop import Target
from autoscaler.policies.build import build
from autoscaler.spec import find_policy
from simulations.run import Case, run
from simulations.traffic import Trace
from simulations.world import Conditions

MINUTES = 60
BUSY_PODS = 9.9


@pytest.mark.parametrize("objective_s", [2.0, 10.0, 60.0], ids=lambda seconds: f"{seconds:g} s")
def test_a_load_that_does_not_move_settles_and_is_served(objective_s):
    loaded = find_policy("predictive-tts")
    served = replace(loaded.serving(None), objective_s=objective_s, patience_s=10 * objective_s)
    policy, rails = build(loaded, served)
    came = np.random.default_rng(7).poisson(BUSY_PODS / served.service_mean_s, MINUTES * 60).astype(float)
    case = Case(
        Trace("even", 1.0, came), served, "patient", lambda _: Target("patient", policy, rails), 1, Conditions()
    )
    result = run(case)
    later = result.timeline.serving[len(result.timeline.serving) // 2 :]
    assert result.figures.missed_ratio < 0.01
    assert result.figures.pod_starts < MINUTES / 2
    assert later.max() <= 18
    assert later.mean() < 12.5
