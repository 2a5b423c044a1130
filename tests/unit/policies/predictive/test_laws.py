"""Laws that hold whatever the traffic: of the wants, and of the policy over whole observations."""

import pickle
from dataclasses import replace
from functools import cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.capacity.missed import ServiceLaw, table
from autoscaler.forecast.bins import BINS, CENTRES
from autoscaler.model import (
    Cause,
    ColdStart,
    Fleet,
    Histogram,
    History,
    Missing,
    Observation,
    Phase,
    Pod,
    Problem,
    Scrape,
    Signals,
    Workload,
)
from autoscaler.policies.predictive import Backlog, Bounds, PredictivePolicy, PriceRule, Settings
from autoscaler.policies.predictive.experience import capacity
from autoscaler.policies.predictive.price import expected_misses_rps, log_grid, want
from autoscaler.policies.predictive.standby import Reserve

LAW = ServiceLaw(mean_s=0.18, cs2=0.36, objective_s=0.8, sure_miss_ratio=0.0015)
TABLE, UNEVEN = table(LAW, 1.5, 20), table(LAW, 70.0, 20)
BOUNDS = Bounds(1, 20)
PRICES = log_grid(0.05, 120.0, 64)
TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84))
SETTINGS = Settings(TTS, BOUNDS, PriceRule(0.01, 1.3, 0.2, 20.0, 0.7), Backlog(3.0))
MISSING = Problem("received", Missing(Cause.STALE, "lost"))


@given(st.floats(0.05, 0.8), st.floats(-1, 1), st.floats(0.1, 30), st.integers(1, 29))
def test_a_forecast_that_shifts_up_never_wants_fewer_pods(spread, growth, level, bins):
    """At four service times a miss or more: a cheaper miss may be let happen, once more pods are needed to avoid it."""
    density = np.exp(-0.5 * ((CENTRES - growth) / spread) ** 2)
    law = density / density.sum()
    before, after = (
        want(expected_misses_rps(each, level, TABLE.carried, TABLE, LAW.mean_s), PRICES, BOUNDS)
        for each in (law, np.roll(law, bins))
    )
    assert (after >= before)[4 * LAW.mean_s <= PRICES].all()


PRICED = replace(SETTINGS, start_price_s=20.0)
POLICIES = {
    "without a past": PredictivePolicy(SETTINGS),
    "starts have a price": PredictivePolicy(PRICED),
    "a learned forest": PredictivePolicy(PRICED, History(60.0, np.full(240, 120), end_s=14_400.0)),
    "gated standby": PredictivePolicy(
        replace(PRICED, reserve=Reserve(least=2, most=6)), History(60.0, np.full(240, 120), end_s=14_400.0)
    ),
}
policies = st.sampled_from(sorted(POLICIES))
all_serve = policies.filter(lambda name: name != "gated standby")
"""What stands by is cut to the bounds by the guard rails, behind the policy."""


@cache
def begun(policy: str) -> bytes:
    """What it knows before its first tick."""
    return pickle.dumps(POLICIES[policy].start())


class Service:
    """A fleet that obeys at once, seen with or without a scrape."""

    def __init__(self, policy="without a past", pods=3):
        self.policy, self.pods, self.standby, self.at_s, self.total = POLICIES[policy], pods, 0, 14_400.0, 0.0
        self.memory = pickle.loads(begun(policy))

    def tick(self, requests: float, queued=0.0, seen=True):
        self.at_s += 5.0
        self.total += requests
        done = self.total
        scrape = Scrape(self.at_s, done, done, 0.0, 0.0, 0.18 * done, queued=queued, service=Histogram((done, done)))
        signals = Signals((scrape,) if seen else (), () if seen else (MISSING,), edges_s=(0.8,))
        serving = [Pod(f"p{n}", Phase.SERVING, 0.0, 15.0) for n in range(self.pods)]
        standby = [Pod(f"s{n}", Phase.STANDBY, 0.0, 15.0, gated=True) for n in range(self.standby)]
        fleet = Fleet(self.pods + self.standby, (*serving, *standby))
        self.memory, wish = self.policy.propose(self.memory, Observation(self.at_s + 3.0, signals, fleet))
        self.pods, self.standby = wish.serving, wish.standby
        return wish


@settings(max_examples=40, deadline=None)
@given(all_serve, st.lists(st.tuples(st.floats(0, 2000), st.integers(0, 500), st.booleans()), min_size=13, max_size=60))
def test_the_wish_is_within_the_bounds_whatever_comes(policy, traffic):
    service = Service(policy)
    for requests, queued, seen in traffic:
        wish = service.tick(requests, float(queued), seen)
        assert 1 <= wish.serving <= 20
        assert wish.standby == 0


@settings(max_examples=12, deadline=None)
@given(policies, st.integers(1, 300))
def test_it_settles_under_a_constant_load(policy, requests):
    service = Service(policy)
    for _ in range(180):
        service.tick(requests)
    sizes = [service.tick(requests).serving for _ in range(60)]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=30, deadline=None)
@given(policies, st.floats(0, 400, allow_subnormal=False), st.integers(13, 30), st.integers(1, 60))
def test_nothing_shrinks_while_nothing_is_seen(policy, requests, seen, unseen):
    service = Service(policy)
    for _ in range(seen):
        before = service.tick(requests)
    assert all(service.tick(0.0, seen=False).serving >= before.serving for _ in range(unseen))


@settings(max_examples=30, deadline=None)
@given(all_serve, st.lists(st.floats(0, 600), min_size=14, max_size=40))
def test_a_tick_orders_no_more_than_twice_the_largest_load_ever_seen_can_use(policy, traffic):
    service = Service(policy)
    largest, recent = 2.0, []
    for requests in traffic:
        recent = [*recent[-2:], requests * 0.18 / 5]
        largest = max(largest, 2.0 * sum(recent) / len(recent))
        before, wish = service.pods, service.tick(requests)
        sure = np.zeros(BINS)
        sure[BINS // 2] = 1.0
        most = want(expected_misses_rps(sure, largest, largest, UNEVEN, LAW.mean_s), np.array([20.0]), BOUNDS)[0]
        assert wish.serving <= max(before, int(most) + 1)


@settings(max_examples=20, deadline=None)
@given(policies, st.lists(st.tuples(st.floats(0, 600), st.booleans(), st.integers(0, 50)), min_size=14, max_size=40))
def test_the_same_record_gives_the_same_decisions(policy, record):
    first, second = Service(policy), Service(policy)
    for requests, seen, queued in record:
        wishes = [each.tick(requests, float(queued), seen) for each in (first, second)]
        assert replace(wishes[0], fit=None) == replace(wishes[1], fit=None)


def test_a_target_keeps_what_its_service_misses_however_many_others_there_are():
    memories = [PredictivePolicy(SETTINGS).start() for _ in range(40)]
    for number, memory in enumerate(memories):
        memory.demand.law = replace(memory.demand.law, mean_s=0.1 + 0.01 * number)
    first = [capacity(memory, SETTINGS) for memory in memories]
    assert all(capacity(memory, SETTINGS) is known for memory, known in zip(memories, first, strict=True))

    memories[0].demand.law = replace(memories[0].demand.law, mean_s=0.5)
    assert capacity(memories[0], SETTINGS).law.mean_s == 0.5
    fewer = replace(SETTINGS, bounds=Bounds(1, 7))
    assert len(capacity(memories[0], fewer).share) == 7
