"""Lost scrapes, restarted counters, hours without the controller: gaps are gaps, and nothing is learned from them."""

from dataclasses import replace
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.series import LoadSeries
from autoscaler.model import (
    NOT_EXPORTED,
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
from autoscaler.policies.predictive.demand import Demand, Gap, Interval
from autoscaler.policies.predictive.experience import remember
from autoscaler.policies.predictive.memory import Traffic
from autoscaler.policies.predictive.policy import PredictivePolicy
from autoscaler.policies.predictive.price import Backlog, Bounds
from autoscaler.policies.predictive.settings import Settings
from autoscaler.policies.predictive.steering import PriceRule

TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84))
SETTINGS = Settings(TTS, Bounds(1, 20), PriceRule(0.01, 1.3, 0.2, 20.0, 0.7), Backlog(3.0))
DAY_S = 86400.0
YES, NO = True, False


def scrape(at_s, received, late=0.0):
    return Scrape(
        at_s, received, received, late, 0.0, 0.18 * received, queued=0.0, service=Histogram((received, received))
    )


@pytest.mark.parametrize(
    ("second", "told"),
    [
        pytest.param((5.0, 30.0), [Interval(30.0, 0.0, known=True)], id="the next scrape"),
        pytest.param(
            (6.25, 30.0), [Interval(24.0, 0.0, known=True)], id="a late one: what came since belongs to the next"
        ),
        pytest.param((4.5, 30.0), [Interval(30.0, 0.0, known=True)], id="a little early"),
        pytest.param(
            (8.0, 31.0), [Interval(19.0, 0.0, known=True)], id="requests are whole, the rest comes with the next"
        ),
        pytest.param((3.0, 30.0), [], id="one too early"),
        pytest.param((15.0, 30.0), [Interval(10.0, 0.0, known=False)] * 3, id="two were lost: spread, as a guess"),
        pytest.param((3600.0, 30.0), [Gap(720)], id="an hour is not spread"),
        pytest.param((5.0, -30.0), [Gap(1)], id="the counter began anew"),
        pytest.param((-5.0, 30.0), [], id="an older one"),
    ],
)
def test_what_two_scrapes_tell(second, told):
    demand = Demand.begin(TTS, 5.0)
    first, last = scrape(1e6, 1000.0), scrape(1e6 + second[0], 1000.0 + second[1])
    assert demand.take(Signals((first,))) == []
    assert demand.take(Signals((last,))) == told


def test_scrapes_that_usually_come_every_15_s_are_measured_a_lost_one_is_not():
    demand, told, at_s = Demand.begin(TTS, 5.0), [], 1e6
    for gap_s in (0, 15, 15, 15, 15, 16, 14, 30, 15):
        at_s += gap_s
        told.append([each.known for each in demand.take(Signals((scrape(at_s, at_s),)))])
    few, usual, lost = [NO] * 3, [YES] * 3, [NO] * 6
    assert told == [[], few, few, few, usual, usual, usual, lost, usual]
    assert [*demand.said()] == ["scraped every 15 s: a jump is seen as much later"]


def test_scrapes_every_15_s_tell_how_unevenly_requests_come():
    random, demand, total = np.random.default_rng(5), Demand.begin(TTS, 5.0), 0.0
    for number in range(400):
        total += 4.0 * float(random.poisson(75.0))
        demand.take(Signals((scrape(1e6 + 15.0 * number, total),)))
    assert 3.0 <= demand.dispersion <= 5.0


def test_where_nobody_tells_which_requests_were_late_none_is_taken_for_in_time():
    demand = Demand.begin(TTS, 5.0)
    for at_s in (1e6, 1e6 + 5.0):
        told = demand.take(Signals((scrape(at_s, at_s, late=NOT_EXPORTED),)))
    assert told == [Interval(5.0, None, known=True)]
    assert [*demand.said()] == ["late requests are not told of: as many are believed to be late as the model expects"]


@given(st.lists(st.tuples(st.floats(0.2, 40.0), st.integers(0, 500)), min_size=1, max_size=60))
def test_at_whatever_moments_scrapes_come_no_request_and_no_second_is_lost(steps):
    demand, at_s, total, told = Demand.begin(TTS, 5.0), 1e6, 1000.0, []
    demand.take(Signals((scrape(at_s, total),)))
    for gap_s, requests in steps:
        at_s, total = at_s + gap_s, total + requests
        told += demand.take(Signals((scrape(at_s, total),)))
    assert 5.0 * len(told) == pytest.approx(demand.last.at_s - 1e6)
    assert -1.0 <= at_s - demand.last.at_s + 1e-6 <= 4.0 + 2e-6
    assert sum(interval.requests for interval in told) == pytest.approx(demand.last.received - 1000.0)
    assert demand.last.received <= total + 1e-6


def test_pods_that_are_scraped_each_at_its_own_moment_make_no_burst():
    """Ten pods, each seen anew every five seconds at a moment of its own, looked at every second."""
    random, demand = np.random.default_rng(3), Demand.begin(TTS, 5.0)
    came = np.cumsum(random.poisson(2.0, (10, 3600)), axis=1)
    moment = random.integers(0, 5, 10)
    intervals = []
    for second in range(5, 3600):
        seen = second - (second - moment) % 5
        intervals += demand.take(Signals((scrape(1e6 + seen.max(), float(came[np.arange(10), seen].sum())),)))
    assert 0.7 <= demand.dispersion <= 1.5
    assert 5.0 * len(intervals) == pytest.approx(3600.0, abs=15.0)


class Run:
    """A fleet of three pods under a steady load, seen every five seconds unless told otherwise."""

    def __init__(self, requests=60.0, settings=SETTINGS, late=0.0):
        self.policy, self.requests, self.at_s, self.total = PredictivePolicy(settings), requests, 0.0, 0.0
        self.late = late
        self.memory = self.policy.start()
        self.random = np.random.default_rng(7)

    def see(self, ticks, wait_s=5.0, restart=False):
        for _ in range(ticks):
            self.at_s += wait_s
            self.total = (0.0 if restart else self.total) + float(self.random.poisson(self.requests * wait_s / 5.0))
            pods = Fleet(3, tuple(Pod(f"p{n}", Phase.SERVING, 0.0, 15.0) for n in range(3)))
            signals = Signals((scrape(self.at_s, self.total, self.late),), edges_s=(0.8,))
            self.memory, wish = self.policy.propose(self.memory, Observation(self.at_s + 3.0, signals, pods))
        return wish


@pytest.mark.parametrize(
    "gap",
    [
        pytest.param({"wait_s": 3600.0}, id="an hour"),
        pytest.param({"wait_s": 7 * DAY_S}, id="a week"),
        pytest.param({"wait_s": 400 * DAY_S}, id="longer than is kept"),
        pytest.param({"restart": True}, id="a restarted counter"),
        pytest.param({"wait_s": 20.0}, id="three scrapes"),
    ],
)
def test_after_a_gap_it_goes_on_as_before(gap):
    run = Run()
    before = run.see(200)
    booked, shadows = run.memory.order_residuals.histogram, run.memory.shadows.misses.copy()
    began = process_time()
    during = run.see(1, **gap)
    assert process_time() - began < 1.0
    np.testing.assert_array_equal(run.memory.order_residuals.histogram, booked)
    np.testing.assert_array_equal(run.memory.shadows.misses, shadows)
    after = run.see(30)
    assert abs(during.serving - before.serving) <= 1
    assert abs(after.serving - before.serving) <= 1
    assert run.memory.traffic.series.end_s == run.at_s
    assert not run.memory.traffic.series.known.all()
    assert after.insight["load_now"] == pytest.approx(60 * 0.18 / 5, rel=0.2)


def test_time_that_nobody_saw_is_no_reason_to_drop_a_pod():
    """What keeping a pod costs is counted while the load is seen: 200 s of lost scrapes drop none at once."""
    run = Run(requests=200.0, settings=replace(SETTINGS, start_price_s=20.0))
    before = run.see(200)
    run.requests = 20.0
    assert run.see(1, wait_s=200.0).serving >= before.serving
    assert run.see(60).serving < before.serving


def test_where_late_requests_are_not_told_the_price_goes_by_what_the_model_expects():
    run = Run(late=NOT_EXPORTED)
    wish = run.see(200)
    assert wish.insight["correction"] == pytest.approx(1.0, abs=0.35)
    assert "late requests are not told of" in wish.steps[0].reason


def test_scrapes_every_15_s_are_learned_from():
    run = Run()
    run.see(60, wait_s=15.0)
    assert run.memory.shadows.requests > 0.8 * run.total * (900.0 - 240.0) / 900.0
    assert run.memory.traffic.series.known.mean() > 0.9


def test_the_load_may_have_changed_meanwhile():
    """The first counts after an hour rule, not what was there before it."""
    run = Run(requests=20.0)
    run.see(200)
    run.requests = 200.0
    run.see(1, wait_s=3600.0)
    assert run.see(3).insight["load_now"] == pytest.approx(200 * 0.18 / 5, rel=0.3)


def test_the_silence_goes_on_when_the_series_forgets_its_beginning():
    memory = PredictivePolicy(SETTINGS).start()
    memory.traffic = replace(Traffic.begin(5.0, 0.0), series=LoadSeries(5.0, 0.0, kept_s=500.0))
    for count in (200.0, *[0.0] * 300):
        remember(memory, Interval(count, 0.0, known=True))
    since_s = memory.traffic.series.end_s - memory.traffic.last_high_s
    assert since_s == pytest.approx(300 * 5.0, abs=3 * 5.0)
    assert len(memory.traffic.series) <= 100
