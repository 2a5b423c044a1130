"""An announced push on requests and pods: met when it comes, and cheap when it does not."""

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.loop import Target
from autoscaler.model import Event, Workload
from autoscaler.policies.build import build
from autoscaler.policies.predictive import PredictivePolicy
from autoscaler.spec import find_policy
from autoscaler.spec.values import parse_moment
from simulations.run import Case, run
from simulations.traffic import Trace

PUSH = Event("push", parse_moment("1970-01-01T00:20"), parse_moment("1970-01-01T00:25"), rate_rps=35.0)
CALM = np.full(45 * 60, 2.0)
COMES = CALM + 33.0 * ((np.arange(len(CALM)) >= 1200) & (np.arange(len(CALM)) < 1500))


def replayed(counts, *calendar: Event):
    loaded = find_policy("predictive-tts")
    policy, rails = build(loaded)
    workload: Workload = loaded.serving(None)
    settings = replace(policy.settings, calendar=calendar)
    trace = Trace("push", 1.0, counts)
    case = Case(trace, workload, "x", lambda history: Target("x", PredictivePolicy(settings, history), rails))
    return run(case)


@pytest.fixture(scope="module")
def runs():
    return {
        "announced": replayed(COMES, PUSH),
        "surprise": replayed(COMES),
        "in vain": replayed(CALM, PUSH),
        "calm": replayed(CALM),
    }


def test_what_is_announced_is_met(runs):
    announced, surprise = runs["announced"].figures, runs["surprise"].figures
    assert announced.missed_ratio < 0.01
    assert surprise.missed_ratio > 10 * announced.missed_ratio


def test_pods_are_there_a_cold_start_before_and_the_reason_names_the_event(runs):
    before = [change for change in runs["announced"].changes if 1150 <= change.at_s < 1200]
    assert max(change.serving for change in before) >= 7
    assert any("announced: push" in reason for change in before for *_, reason in change.reasons)


def test_an_event_that_does_not_come_costs_at_most_its_pods_while_it_was_to_last(runs):
    extra_s = 3600 * (runs["in vain"].figures.pod_hours - runs["calm"].figures.pod_hours)
    pods = max(change.serving for change in runs["in vain"].changes if change.at_s > 1100)
    assert pods <= 12  # 35 requests/s keep 6.3 busy
    assert 0 < extra_s <= pods * (300 + 60)
    assert runs["in vain"].figures.missed_ratio <= runs["calm"].figures.missed_ratio
