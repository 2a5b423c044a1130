"""A controller that is restarted goes on as if it had not been: the same world, once with a new process in between."""

import numpy as np
import pytest
from simulation.cases import TTS

from autoscaler.loop import Immediate, Ports, State, Target, begin, tick
from autoscaler.model import Fit, History, Observation, Rails
from autoscaler.policies.predictive import Backlog, Bounds, PredictivePolicy, PriceRule, Settings
from simulations.draw import draw
from simulations.traffic import Trace
from simulations.world import Conditions, World

SETTINGS = Settings(TTS, Bounds(1, 40), PriceRule(0.01, 1.3, 0.22, 20.0, 0.7), Backlog(3.0))
pytestmark = pytest.mark.slow

START_S, HISTORY_S, RESTART_S, END_S = 86400.0 * 365, 8 * 3600.0, 3600.0, 6600.0
DOWN_S = 40.0
"""Between the last tick of one process and the first of the next."""
LEARNING_S = 60.0
"""So long a history is learned from, beside the ticks."""


class Kept:
    """A journal that keeps the wishes."""

    def __init__(self):
        self.wishes, self.insights = {}, {}

    def append(self, tick):
        assert isinstance(tick.seen, Observation)
        self.wishes[tick.decision.at_s] = tick.decision.serving
        self.insights[tick.decision.at_s] = tick.decision.insight


def busy_day():
    """Eight hours and two: a rhythm of a day, a job each quarter of an hour, arrivals of chance."""
    random = np.random.default_rng(7)
    minute = np.arange(int((HISTORY_S + END_S) / 60))
    mean = 60 * (25 + 15 * np.sin(2 * np.pi * minute / 1440) + 20 * (minute % 15 == 0))
    return Trace(
        "restart", 60.0, random.poisson(mean).astype(float), eval_start_s=HISTORY_S, start_s=START_S - HISTORY_S
    )


def as_prometheus_has_it(traffic, until_s):
    """History and run up to a whole minute."""
    minutes = int(until_s // 60)
    run = np.histogram(traffic.arrival_s, bins=minutes, range=(0.0, minutes * 60.0))[0]
    counts = np.concatenate([traffic.history.counts, run]).astype(np.int64)
    return History(60.0, counts, traffic.history.end_s + minutes * 60.0)


class Run:
    """One world and the processes that run in it, one after the other."""

    def __init__(self):
        self.traffic = draw(busy_day(), TTS, 1)
        self.world = World("restart", self.traffic, TTS, 1, Conditions())
        self.journal, self.at_s = Kept(), 3.0
        self.world.advance(self.at_s)

    def start(self, policy, state=None):
        self.target = Target("tts", policy, Rails(1, 40))
        ports = self.world.ports(self.journal)
        self.trainer = Immediate()
        self.ports = Ports(ports.clock, ports.signals, ports.fleet, ports.actuator, ports.journal, self.trainer)
        self.state = state or begin(self.target, ports.clock.now_s())

    def until(self, end_s):
        while self.at_s <= end_s:
            self.state = tick(self.target, self.ports, self.state)
            self.at_s += 5.0
            self.world.advance(self.at_s)

    @property
    def now_s(self):
        return self.ports.clock.now_s()


@pytest.fixture(scope="module")
def uninterrupted():
    run = Run()
    run.start(PredictivePolicy(SETTINGS, run.traffic.history))
    run.until(END_S)
    return run.journal


@pytest.fixture(scope="module")
def restarted():
    run = Run()
    run.start(PredictivePolicy(SETTINGS, run.traffic.history))
    run.until(RESTART_S)
    kept = run.target.policy.keep(run.state.memory, run.now_s)

    run.at_s += DOWN_S
    run.world.advance(run.at_s)
    policy = PredictivePolicy(SETTINGS)
    run.start(policy, State(policy.recall(kept, run.now_s), run.now_s - policy.lookback_s))
    history = as_prometheus_has_it(run.traffic, run.at_s)
    run.until(run.at_s + LEARNING_S)
    run.trainer.submit(Fit(lambda: policy.warmed(history, kept, run.now_s)))
    run.until(END_S)
    return run.journal, kept


def after(journal, uninterrupted, first_s, end_s=END_S):
    """Wishes of both runs at the same ticks of a span."""
    start_s = min(uninterrupted.wishes)
    times = [at_s for at_s in journal.wishes if at_s in uninterrupted.wishes and first_s < at_s - start_s <= end_s]
    assert len(times) > 10
    return np.array([(journal.wishes[at_s], uninterrupted.wishes[at_s]) for at_s in times]).T


def test_what_is_kept_is_small(restarted):
    assert len(restarted[1]) < 16_000


def test_until_the_past_is_learned_from_the_size_stays_near(uninterrupted, restarted):
    """The restart falls into a peak that comes each quarter of an hour: a bad moment."""
    ours, theirs = after(restarted[0], uninterrupted, RESTART_S + DOWN_S - 5.0, RESTART_S + DOWN_S + LEARNING_S)
    before = uninterrupted.wishes[max(at_s for at_s in uninterrupted.wishes if at_s - RESTART_S <= 3.0 + START_S)]
    assert (ours >= theirs - 2).all()
    assert ours.max() <= before + 3


def test_afterwards_it_decides_as_if_it_had_never_ended(uninterrupted, restarted):
    ours, theirs = after(restarted[0], uninterrupted, RESTART_S + DOWN_S + LEARNING_S + 15.0)
    assert np.mean(np.abs(ours - theirs) <= 1) > 0.97
    assert abs(ours.mean() / theirs.mean() - 1) < 0.03


def test_the_price_goes_on_where_it_was(uninterrupted, restarted):
    prices = [insight["price"] for insight in restarted[0].insights.values()]
    changes = np.abs(np.diff(np.log(prices)))
    assert changes.max() < 0.05
    last = max(uninterrupted.insights)
    assert prices[-1] == pytest.approx(uninterrupted.insights[last]["price"], rel=0.15)


def test_with_nothing_kept_and_no_history_the_pods_stay_for_the_first_minute(uninterrupted):
    run = Run()
    run.start(PredictivePolicy(SETTINGS))
    run.until(60.0)
    assert len(set(run.journal.wishes.values())) == 1


def test_a_history_that_comes_late_is_taken_over_without_a_jump(uninterrupted):
    """Nothing was kept: after a minute of holding, it decides as if the history had been there."""
    run = Run()
    policy = PredictivePolicy(SETTINGS)
    run.start(policy)
    run.until(LEARNING_S)
    run.trainer.submit(Fit(lambda: policy.warmed(run.traffic.history, None, run.now_s)))
    run.until(900.0)
    ours, theirs = after(run.journal, uninterrupted, LEARNING_S + 15.0, 900.0)
    assert np.abs(ours - theirs).max() <= 2
    assert np.mean(ours == theirs) > 0.9
