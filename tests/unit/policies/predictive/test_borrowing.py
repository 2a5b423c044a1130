"""A target without history borrows from other services, says so, and stands alone after four days."""

from dataclasses import replace

import numpy as np

from autoscaler.forecast.bins import bin_of
from autoscaler.forecast.prior import Prior
from autoscaler.forecast.priorfile import Priors, load
from autoscaler.forecast.trees import Nodes
from autoscaler.model import (
    ColdStart,
    Fleet,
    Histogram,
    Observation,
    Phase,
    Pod,
    Scrape,
    Signals,
    Workload,
)
from autoscaler.policies.predictive.experience import remember_all
from autoscaler.policies.predictive.policy import PredictivePolicy
from autoscaler.policies.predictive.price import Backlog, Bounds
from autoscaler.policies.predictive.settings import Settings
from autoscaler.policies.predictive.steering import PriceRule
from autoscaler.spec.load import shipped_prior

TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84))
ALONE = Settings(TTS, Bounds(1, 20), PriceRule(0.01, 1.3, 0.2, 20.0, 0.7), Backlog(3.0))
DAY_S = 86400.0


AS_NOW = [int(bin_of(error)) for error in (-1e-9, 1e-9)]
"""Under constant load the level is off the load by an error of rounding, and no growth lies on an edge."""


def certain(growth: int | list[int]) -> Priors:
    """A forest that always expects the same growth."""
    leaf = np.zeros(1, dtype=np.int32)
    grown = Nodes(leaf, 0, leaf.astype(np.int16), leaf.astype(np.float32), np.zeros(2, dtype=np.int32))
    masses = np.zeros((1, 2, 230), dtype=np.uint8)
    masses[:, :, growth] = 255
    return Priors((Prior.of(15.0, 5.0, grown, masses),), "certain")


def run(settings, traffic, known_s=0.0):
    """The wishes for traffic in intervals of 5 s; the fleet obeys at once, and no model is ever fitted.

    `known_s` of steady traffic have gone by before.
    """
    policy = PredictivePolicy(settings)
    memory = policy.start()
    before = np.full(round(known_s / 5), 50.0)
    remember_all(memory, before, before > 0)
    memory.traffic.series.start_s = 0.0
    start_s = memory.traffic.series.end_s
    memory.history_s = known_s
    total, pods, wishes = 0.0, 2, []
    for i, requests in enumerate(np.concatenate([[0.0], traffic])):
        total += requests
        at_s = start_s + 5.0 * i
        scrape = Scrape(at_s, total, total, 0.0, 0.0, 0.18 * total, queued=0.0, service=Histogram((total, total)))
        fleet = Fleet(pods, tuple(Pod(f"p{n}", Phase.SERVING, 0.0, 15.0) for n in range(pods)))
        memory, wish = policy.propose(memory, Observation(at_s + 3.0, Signals((scrape,), edges_s=(0.8,)), fleet))
        pods = max(wish.serving, 1)
        wishes.append(wish)
    return memory, wishes


def steady(count: int):
    return np.random.default_rng(1).poisson(50, count).astype(float)


def test_a_new_target_borrows_and_every_decision_says_how_much_and_from_where():
    priors = load(shipped_prior())
    _, wishes = run(replace(ALONE, priors=priors), steady(40))
    last = wishes[-1]
    assert 0.5 < last.insight["borrowed"] <= 1.0
    (order,) = (step for step in last.steps if step.stage == "order")
    assert f"{last.insight['borrowed']:.0%} of the forecast is what other services taught" in order.reason
    assert priors.digest in order.reason


def test_a_target_that_knows_itself_decides_as_if_there_were_no_other():
    with_others, alone = (
        run(settings, steady(30), known_s=4 * DAY_S) for settings in (replace(ALONE, priors=certain(200)), ALONE)
    )
    assert with_others[0].borrowing is None
    assert with_others[1] == alone[1]


def test_the_own_history_ends_the_borrowing():
    memory, wishes = run(replace(ALONE, priors=certain(AS_NOW)), steady(40), known_s=4 * DAY_S - 20 * 5)
    borrowed = [wish.insight["borrowed"] for wish in wishes]
    assert borrowed[1] > 0.0
    assert borrowed[-1] == 0.0
    assert memory.borrowing is None


def test_a_forecast_that_comes_true_is_trusted_and_one_that_fails_is_not():
    weights = {}
    for name, priors in (("true", certain(AS_NOW)), ("false", certain(229))):
        memory, _ = run(replace(ALONE, priors=priors), np.full(200, 50.0))
        weights[name] = memory.borrowing.weight
    assert weights["true"] > 0.9
    assert weights["false"] < 0.1


def test_no_forest_for_the_lead_time_leaves_the_own_forecast():
    slow = replace(ALONE, workload=replace(TTS, cold_start=ColdStart(120.0, 160.0)), priors=load(shipped_prior()))
    memory, wishes = run(slow, steady(30))
    assert memory.borrowing is None
    assert wishes[-1].insight["borrowed"] == 0.0
