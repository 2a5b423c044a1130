"""The own model is used only while it works and is worth it."""

from types import SimpleNamespace

import numpy as np
import pytest

from autoscaler.forecast.bins import BINS, bin_of
from autoscaler.forecast.features import layout
from autoscaler.forecast.sample import Pool
from autoscaler.forecast.series import LoadSeries
from autoscaler.model import ColdStart, Fitted, Fleet, Histogram, Observation, Phase, Pod, Scrape, Signals, Workload
from autoscaler.policies.predictive.memory import Model
from autoscaler.policies.predictive.policy import PredictivePolicy
from autoscaler.policies.predictive.price import Backlog, Bounds
from autoscaler.policies.predictive.settings import Settings
from autoscaler.policies.predictive.steering import PriceRule
from autoscaler.policies.predictive.trust import Trust

TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84))
SETTINGS = Settings(TTS, Bounds(1, 20), PriceRule(0.01, 1.3, 1.3, 1.3, 0.7), Backlog(3.0))


def sure(ratio: float):
    """A forecast without doubt: the load grows by this factor."""
    histogram = np.zeros(BINS)
    histogram[bin_of(np.log(ratio))] = 1.0
    return histogram


class Says:
    """A forest of one leaf that always says the same, or raises it."""

    trees = SimpleNamespace(roots=[0])
    first = (0, 0)

    def __init__(self, what):
        self.what = what

    def leaves(self, rows):
        return np.zeros((len(rows), 1), dtype=np.intp)

    def histogram(self, leaves, recent):
        if isinstance(self.what, Exception):
            raise self.what
        return self.what, self.what


def run(forest, ticks=300, requests=50.0):
    """Wishes for a steady load with some noise; the forest is handed over after ten minutes."""
    policy = PredictivePolicy(SETTINGS)
    memory, wishes, total = policy.start(), [], 0.0
    random = np.random.default_rng(2)
    pods = Fleet(3, tuple(Pod(f"p{n}", Phase.SERVING, 0.0, 15.0) for n in range(3)))
    for tick in range(ticks):
        total += float(random.poisson(requests))
        at_s = 5.0 * tick
        scrape = Scrape(at_s, total, total, 0.0, 0.0, 0.18 * total, queued=0.0, service=Histogram((total, total)))
        fitted = None
        if tick == 120:
            plan = layout(LoadSeries(5.0, 0.0), memory.windows.lead)
            fitted = Fitted("made", Model(Says(forest), Pool(1, 1.0, 1), plan, memory.windows))
        seen = Observation(at_s + 3.0, Signals((scrape,), edges_s=(0.8,)), pods, fitted=fitted)
        memory, wish = policy.propose(memory, seen)
        wishes.append(wish)
    return memory, wishes


def order(wish):
    return next(step for step in wish.steps if step.stage == "order")


@pytest.mark.parametrize(
    ("forest", "why"),
    [
        pytest.param(ValueError("no such column"), "ValueError: no such column", id="it raises"),
        pytest.param(MemoryError(), "MemoryError", id="it finds no room"),
        pytest.param(np.full(BINS, np.nan), "no distribution", id="it says what is no number"),
        pytest.param(np.zeros(BINS), "no distribution", id="it says nothing"),
        pytest.param(sure(1.0) - 0.5 / BINS, "no distribution", id="it says less than nothing"),
    ],
)
def test_a_forecaster_that_fails_never_ends_a_tick(forest, why):
    _, wishes = run(forest, ticks=150)
    _, without = run(sure(1.0), ticks=120)
    last = wishes[-1]
    assert why in order(last).reason
    assert "the last hour's errors stand in for it" in order(last).reason
    assert last.insight["forecast_replaced"] == 1.0
    assert abs(last.serving - without[-1].serving) <= 1


def test_a_model_that_costs_more_than_the_last_hours_errors_is_left():
    """It cries wolf: ten times the load, always."""
    memory, wishes = run(sure(10.0), ticks=300)
    assert memory.trust.left
    assert wishes[-1].serving < wishes[122].serving
    assert wishes[-1].serving == run(ValueError(), ticks=300)[1][-1].serving
    assert "stand in for it" in order(wishes[-1]).reason
    assert wishes[-1].insight["skill_residual"] < 0.0


def test_a_model_that_comes_true_is_used():
    memory, wishes = run(sure(1.05), ticks=300)
    assert not memory.trust.left
    assert wishes[-1].insight["forecast_replaced"] == 0.0


def test_a_model_that_has_become_right_is_used_again():
    trust = Trust.over(5.0)
    right, wrong, rival = sure(1.0), sure(10.0), sure(2.0)

    def windows(own, count):
        for _ in range(count):
            trust.noted(5.0, own, own, rival)
            trust.pending.interval_ended()
            trust.window_ended(5.0)

    windows(wrong, 100)
    assert trust.left
    windows(right, 10_000)
    assert not trust.left
    assert trust.said() == ""


def test_the_figures_are_in_every_decision_once_a_window_is_over():
    _, wishes = run(sure(1.05), ticks=200)
    for name in ("pinball", "wape", "skill_naive", "skill_residual", "coverage_p90", "coverage_p99_by_load"):
        assert np.isfinite(wishes[-1].insight[name])


def test_no_window_is_judged_by_forecasts_of_other_windows():
    trust = Trust.over(5.0)
    trust.noted(5.0, sure(1.0), sure(1.0), sure(1.0))
    trust.pending.interval_ended()
    trust.pending.forget()
    assert not trust.pending.made
