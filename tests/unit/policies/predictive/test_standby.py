"""Serving and standby: how a wish is split, and how soon a jump is seen."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.series import LoadSeries
from autoscaler.model import ColdStart, Fleet, Observation, Phase, Pod, Scrape, Signals, Step, Workload
from autoscaler.policies.predictive import Backlog, Bounds, PredictivePolicy, PriceRule, Reserve, Settings
from autoscaler.policies.predictive.standby import Gate, present, risen

INTERVAL_S = 5.0


def series(*counts):
    made = LoadSeries(INTERVAL_S, 0.0)
    made.append(np.array(counts, dtype=float))
    return made


def steps(*sizes):
    return tuple(Step(stage, pods, 0, f"{stage} says so") for stage, pods in sizes)


@pytest.mark.parametrize(
    ("worth", "needed", "before", "after"),
    [
        pytest.param(3, 0, [("present", 1), ("order", 5)], [(1, 0), (2, 0), (3, 2)], id="the rest stands by"),
        pytest.param(
            9, 0, [("present", 1), ("order", 5)], [(1, 0), (2, 0), (5, 0), (5, 2)], id="no more than there are"
        ),
        pytest.param(1, 7, [("present", 1), ("order", 5)], [(1, 0), (7, 0), (7, 0), (7, 2)], id="what waits is served"),
        pytest.param(2, 0, [("present", 1), ("order", 9)], [(1, 0), (2, 0), (5, 4)], id="at most four stand by"),
        pytest.param(1, 0, [("present", 1), ("order", 2)], [(1, 0), (2, 0), (2, 0), (2, 2)], id="two serve always"),
        pytest.param(
            2,
            0,
            [("present", 1), ("order", 4), ("hold", 6)],
            [(1, 0), (2, 0), (2, 2), (2, 4)],
            id="every stage is split",
        ),
        pytest.param(4, 4, [("observe", 8)], [(4, 0), (4, 4)], id="a step alone is no present"),
    ],
)
def test_a_wish_is_split(worth, needed, before, after):
    gate = Gate.closed(Reserve(least=2, most=4, serving=2), INTERVAL_S)
    gate.want(0.0, worth, needed)
    parted = gate.split(steps(*before))
    assert [(step.serving, step.standby) for step in parted] == after
    assert all(step.reason for step in parted)


@pytest.mark.parametrize(("price", "of_a_miss"), [(0.1, 1.0 / 0.09), (0.5, 4.0), (1.0, 1000.0)])
def test_a_loaded_pod_serves_for_the_difference_alone(price, of_a_miss):
    assert Gate.closed(Reserve(0, 4, price), INTERVAL_S).price(1.0) == pytest.approx(of_a_miss)


@pytest.mark.parametrize(
    ("counts", "load"),
    [((10, 10, 10), 10.0), ((10, 10, 40), 40.0), ((40, 40, 10), 30.0), ((), 0.0)],
    ids=["steady", "growth counts at once", "a fall counts when it has lasted", "nothing seen"],
)
def test_the_present_load(counts, load):
    assert present(series(*counts)) == load


@pytest.mark.parametrize(("after_s", "wanted"), [(0.0, 5), (29.0, 5), (31.0, 2)], ids=["now", "still", "no more"])
def test_what_was_wanted_in_service_stays_there_for_a_while(after_s, wanted):
    gate = Gate.closed(Reserve(least=2, most=4), INTERVAL_S)
    gate.want(100.0, 1, needed=5)
    gate.want(100.0 + after_s, 1, needed=2)
    assert gate.split(steps(("order", 1)))[-1].serving == wanted


SOONEST = 1.0 / INTERVAL_S


@pytest.mark.parametrize("age_s", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("pods", [1, 2, 4])
@pytest.mark.parametrize("span_s", [3.5, 5.0])
def test_a_jump_between_two_scrapes_is_seen_whole(age_s, pods, span_s):
    """2 requests/s become 35, `age_s` before the scrape; what the pods cannot answer waits."""
    usual_rps, jumped_rps, capacity_rps = 2.0, 35.0, pods / 0.18
    requests = usual_rps * (span_s - age_s) + jumped_rps * age_s
    waiting = (jumped_rps - capacity_rps) * age_s
    seen = risen(usual_rps * INTERVAL_S, (requests, span_s / INTERVAL_S), waiting, capacity_rps * INTERVAL_S, SOONEST)
    assert seen / INTERVAL_S == pytest.approx(jumped_rps)


@pytest.mark.parametrize(
    ("usual", "came", "more_waiting", "capacity"),
    [
        pytest.param(100.0, (110.0, 1.0), 5.0, 150.0, id="chance"),
        pytest.param(10.0, (60.0, 1.0), 0.0, 100.0, id="nothing waits"),
        pytest.param(100.0, (200.0, 1.0), 50.0, 90.0, id="they were busy before"),
        pytest.param(100.0, (200.0, 2.0), 50.0, 900.0, id="twice as many in twice the time"),
        pytest.param(0.0, (60.0, 0.0), 50.0, 90.0, id="no time between"),
    ],
)
def test_where_nothing_has_risen(usual, came, more_waiting, capacity):
    assert risen(usual, came, more_waiting, capacity, SOONEST) == 0.0


positive = st.floats(0, 500)


@given(positive, positive, st.floats(0.1, 3), st.floats(-100, 500), positive)
def test_a_rise_is_finite_and_no_less_than_what_came(usual, requests, span, more_waiting, capacity):
    seen = risen(usual, (requests, span), more_waiting, capacity, SOONEST)
    assert math.isfinite(seen)
    assert seen == 0.0 or seen * span >= requests * (1 - 1e-9)


TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84))


def settings(**changes):
    price, reserve = PriceRule(0.01, 1.3, 0.2, 20.0, 0.7), Reserve(least=6, most=10, serving=2)
    made = {"bounds": Bounds(2, 12), "price": price, "backlog": Backlog(3.0), "tick_s": 1.0, "reserve": reserve}
    return Settings(TTS, **(made | changes))


class Service:
    """Six pods stand by; obeys at once; scraped each fifth tick."""

    def __init__(self, serving=2, standby=6, **changes):
        self.policy = PredictivePolicy(settings(**changes))
        self.memory, self.at_s, self.received = self.policy.start(), 0.0, 0.0
        self.serving, self.standby = serving, standby

    def fleet(self):
        phases = [Phase.SERVING] * self.serving + [Phase.STANDBY] * self.standby
        pods = tuple(Pod(f"p{i}", phase, -100.0, -80.0, gated=phase is Phase.STANDBY) for i, phase in enumerate(phases))
        return Fleet(len(pods), pods)

    def tick(self, rate_rps, queued=0.0):
        self.at_s += 1.0
        self.received += rate_rps
        scrapes = (Scrape(self.at_s, self.received, queued=queued),) if self.at_s % 5 == 0 else ()
        self.memory, proposal = self.policy.propose(
            self.memory, Observation(self.at_s + 0.5, Signals(scrapes), self.fleet())
        )
        self.serving, self.standby = proposal.serving, proposal.standby
        return proposal

    def calm(self, seconds=120, rate_rps=2.0):
        return [self.tick(rate_rps) for _ in range(seconds)]


def test_a_calm_service_keeps_two_in_service_and_six_in_reserve():
    assert {(each.serving, each.standby) for each in Service().calm(300)} == {(2, 6)}


def test_what_serves_when_the_controller_begins_goes_on_serving():
    first = Service(serving=5, standby=6).calm(25)
    assert {(each.serving, each.standby) for each in first} == {(5, 6)}


def test_the_reserve_is_promoted_by_the_first_scrape_that_shows_a_jump_and_stands_by_when_it_is_over():
    service = Service()
    service.calm(123)
    before = [service.tick(35.0)]
    assert before[0].serving == 2
    jumped = service.tick(35.0, queued=2 * (35 - 2 / 0.18))
    assert jumped.serving >= 8
    after = service.calm(600)
    assert (after[-1].serving, after[-1].standby) == (2, 6)
    assert sum(one.serving != other.serving for one, other in pairwise(after)) < 20


def test_a_tick_between_two_scrapes_repeats_the_wish():
    service = Service()
    service.calm(125)
    told = [service.tick(2.0) for _ in range(4)]
    assert len({each.steps for each in told}) == 1
    assert all(each.fit is None for each in told)


def test_a_cheaper_pod_in_reserve_is_kept_in_larger_numbers():
    wanted = {}
    for price in (1.0, 0.1):
        service = Service(bounds=Bounds(1, 60), reserve=Reserve(least=0, most=60, price=price))
        random = np.random.default_rng(3)
        totals = [each for second in range(900) for each in [service.tick(float(random.poisson(20)))] if second > 600]
        wanted[price] = np.mean([each.serving + each.standby for each in totals])
    assert wanted[0.1] > wanted[1.0]
