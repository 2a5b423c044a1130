"""The predictive policy over whole observations: what it promises, whatever the traffic."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.model import (
    ColdStart,
    Fleet,
    Histogram,
    History,
    Observation,
    Phase,
    Pod,
    Scrape,
    Signals,
    Workload,
)
from autoscaler.policies.predictive.policy import PredictivePolicy
from autoscaler.policies.predictive.price import Backlog, Bounds
from autoscaler.policies.predictive.settings import Settings
from autoscaler.policies.predictive.steering import PriceRule

TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84))
SETTINGS = Settings(TTS, Bounds(1, 20), PriceRule(0.01, 1.3, 0.2, 20.0, 0.7), Backlog(3.0))


def fleet(pods: int) -> Fleet:
    return Fleet(pods, tuple(Pod(f"p{i}", Phase.SERVING, 0.0, 15.0) for i in range(pods)))


class Service:
    """Obeys at once; counts what arrives; every request takes the mean service time."""

    def __init__(self, policy: PredictivePolicy, pods: int = 2, start_s: float = 0.0):
        self.policy, self.memory, self.pods, self.at_s = policy, policy.start(), pods, start_s
        self.scrape = Scrape(start_s, 0.0, 0.0, 0.0, 0.0, 0.0, queued=0.0, service=Histogram((0.0, 0.0)))
        self.fitted = None
        self.fits_s = []
        self.proposals = []

    def tick(self, requests: float, *, queued: float = 0.0, scraped: bool = True):
        self.at_s += 5.0
        done = self.scrape.completed + requests
        self.scrape = replace(
            self.scrape,
            at_s=self.at_s,
            received=self.scrape.received + requests,
            completed=done,
            service_s=0.18 * done,
            queued=queued,
            service=Histogram((done, done)),
        )
        signals = Signals((self.scrape,) if scraped else (), edges_s=(0.8,))
        seen = Observation(self.at_s + 3.0, signals, fleet(self.pods), fitted=self.fitted)
        self.memory, proposal = self.policy.propose(self.memory, seen)
        self.fitted = proposal.fit.job() if proposal.fit else None
        if proposal.fit:
            self.fits_s.append(self.at_s)
        self.pods = min(max(proposal.serving, 1), 20)
        self.proposals.append(proposal)
        return proposal

    def prices(self) -> list[float]:
        """In force at each tick that decided."""
        return [proposal.insight["price"] for proposal in self.proposals if proposal.insight]


def test_without_history_the_first_minute_leaves_the_pods_as_they_are():
    service = Service(PredictivePolicy(SETTINGS), pods=7)
    assert {service.tick(10.0).serving for _ in range(11)} == {7}


def test_a_size_that_was_far_too_small_does_not_raise_the_price():
    """The first minutes miss whatever a miss is worth; a price moved by them bought 30 pods where 17 were enough."""
    service = Service(PredictivePolicy(SETTINGS), pods=1)
    for _ in range(34):
        service.tick(280.0)
    prices = service.prices()
    assert len(prices) > 20
    assert max(prices) <= 1.3


def test_what_the_forecasts_promise_moves_the_price_before_anything_was_missed():
    """Bursts are dear and calm is cheap within minutes, while pods abound in both."""
    calm, bursts = Service(PredictivePolicy(SETTINGS), pods=20), Service(PredictivePolicy(SETTINGS), pods=20)
    for tick in range(34):
        calm.tick(60.0)
        bursts.tick(300.0 if tick % 9 == 8 else 20.0)
    assert calm.prices()[-1] < 1.0 < 1.3 < bursts.prices()[-1]


def test_constant_load_settles_without_oscillation():
    service = Service(PredictivePolicy(SETTINGS))
    random = np.random.default_rng(1)
    for _ in range(720):
        service.tick(float(random.poisson(100)))
    sizes = [proposal.serving for proposal in service.proposals[-240:]]
    assert 4 <= min(sizes) <= max(sizes) <= 7
    assert sum(a != b for a, b in pairwise(sizes)) <= 60


def test_a_jump_is_followed_and_an_idle_service_falls_to_the_minimum():
    service = Service(PredictivePolicy(SETTINGS))
    for _ in range(60):
        service.tick(10.0)
    for _ in range(6):
        jumped = service.tick(280.0)
    assert jumped.serving >= 10
    for _ in range(1500):
        idle = service.tick(0.0)
    assert idle.serving == 1


def test_waiting_requests_call_for_pods_at_once():
    service = Service(PredictivePolicy(SETTINGS))
    for _ in range(30):
        service.tick(30.0)
    before = service.pods
    proposal = service.tick(30.0, queued=200.0)
    assert proposal.serving > before
    assert [step.stage for step in proposal.steps] == ["present", "order", "backlog"]


@pytest.mark.slow
def test_a_daily_peak_is_met_before_it_comes():
    """Three days of history with a sharp evening peak: pods are there before the load is."""
    step = np.arange(3 * 1440)
    evening = (step % 1440 >= 1200) & (step % 1440 < 1320)
    history = History(60.0, np.where(evening, 3000, 300).astype(np.int64), end_s=3 * 86400.0)
    calm = 240
    first_s = history.end_s + 1200 * 60 - calm * 5
    service = Service(PredictivePolicy(SETTINGS, history), pods=2, start_s=first_s)
    random = np.random.default_rng(4)
    for interval in range(calm + 12):
        service.tick(float(random.poisson(250 if interval >= calm else 25)))
    sizes = [proposal.serving for proposal in service.proposals]
    assert sizes[calm - 4] >= 8  # a cold start before the peak
    assert max(sizes[: calm - 40]) <= 4


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 2000), min_size=15, max_size=40), st.integers(0, 500), st.booleans())
def test_every_wish_is_within_the_bounds_with_a_reason_for_each_step(traffic, queued, scraped):
    service = Service(PredictivePolicy(SETTINGS))
    for requests in traffic:
        proposal = service.tick(requests, queued=float(queued), scraped=scraped or requests > 1000)
        assert 1 <= proposal.serving <= 20
        assert proposal.standby == 0
        assert all(step.reason for step in proposal.steps)
        assert all(np.isfinite(value) for value in proposal.insight.values())


def test_the_same_record_gives_the_same_wishes():
    random = np.random.default_rng(9)
    traffic = random.poisson(60, 300).astype(float)
    first, second = Service(PredictivePolicy(SETTINGS)), Service(PredictivePolicy(SETTINGS))
    for requests in traffic:
        first.tick(requests)
        second.tick(requests)
    assert [(p.serving, p.steps) for p in first.proposals] == [(p.serving, p.steps) for p in second.proposals]


def test_the_service_time_is_measured_not_believed():
    """Requests take twice what the file says; within minutes the policy plans with what it measures."""
    told = replace(SETTINGS, workload=replace(TTS, service_mean_s=0.09))
    service = Service(PredictivePolicy(told))
    for _ in range(150):
        proposal = service.tick(100.0)
    assert proposal.insight["service_mean_s"] == pytest.approx(0.18)


def test_starts_that_end_teach_the_lead_time():
    policy = PredictivePolicy(SETTINGS)
    memory = policy.start()
    scrape = Scrape(0.0, 0.0)
    memory, _ = policy.propose(memory, Observation(3.0, Signals((scrape,)), fleet(1)))
    slow = tuple(Pod(f"late{i}", Phase.SERVING, 0.0, 60.0) for i in range(40))
    memory, _ = policy.propose(memory, Observation(70.0, Signals((replace(scrape, at_s=70.0),)), Fleet(40, slow)))
    assert memory.lead.quantiles_s(0.5)[0] > 40.0


def started(starts_as: str, revision: str = "") -> Fleet:
    """Forty pods that took a minute."""
    slow = tuple(Pod(f"late{i}", Phase.SERVING, 0.0, 60.0, revision=revision) for i in range(40))
    return Fleet(40, slow, revision="new" if revision else "", starts_as=starts_as)


@pytest.mark.parametrize(
    ("then", "lead_s"),
    [
        pytest.param(started("image 1"), 60.0, id="the same image and nodes"),
        pytest.param(started("image 2"), 15.0, id="a new image"),
        pytest.param(started(""), 60.0, id="not told"),
    ],
)
def test_a_new_image_starts_as_the_workload_says_until_its_own_starts_are_seen(then, lead_s):
    policy = PredictivePolicy(SETTINGS)
    memory = policy.start()
    for at_s, seen in ((0.0, replace(fleet(1), starts_as="image 1")), (70.0, started("image 1")), (140.0, then)):
        memory, _ = policy.propose(memory, Observation(at_s + 3.0, Signals((Scrape(at_s, 0.0),)), seen))
    assert memory.lead.quantiles_s(0.5)[0] == pytest.approx(lead_s, rel=0.3)
    again = policy.recall(policy.keep(memory, 143.0), 150.0)
    again, _ = policy.propose(again, Observation(153.0, Signals((Scrape(150.0, 0.0),)), started("image 3")))
    assert again.lead.quantiles_s(0.5)[0] == pytest.approx(15.0)


def test_starts_of_the_template_before_teach_nothing_of_the_new_one():
    policy = PredictivePolicy(SETTINGS)
    memory, _ = policy.propose(policy.start(), Observation(3.0, Signals((Scrape(0.0, 0.0),)), fleet(1)))
    memory, _ = policy.propose(memory, Observation(73.0, Signals((Scrape(70.0, 0.0),)), started("", revision="old")))
    assert memory.lead.quantiles_s(0.5)[0] == pytest.approx(15.0)


def test_without_history_a_model_is_learned_five_times_in_the_first_hour():
    service = Service(PredictivePolicy(SETTINGS))
    for _ in range(720):
        service.tick(50.0)
    assert [at_s / 60 for at_s in service.fits_s] == pytest.approx([10, 15, 22, 33, 50], abs=0.5)


def test_a_history_of_hours_is_learned_anew_when_half_as_much_came():
    history = History(5.0, np.full(720 * 5, 50), end_s=1e6)
    assert PredictivePolicy(SETTINGS, history).start().next_fit_s == 1e6 + 2.5 * 3600


def test_slower_starts_move_the_windows_with_the_next_model():
    """Most pods take a minute, not fifteen seconds: the model that is fitted next looks further ahead."""
    service = Service(PredictivePolicy(SETTINGS))
    slow = tuple(Pod(f"slow{i}", Phase.SERVING, 0.0, 60.0) for i in range(60))
    for tick in range(150):
        service.tick(100.0)
        if tick == 20:
            seen = Observation(service.at_s + 3.0, Signals(()), Fleet(60, slow))
            service.memory, _ = service.policy.propose(service.memory, seen)
    assert service.memory.model is not None
    assert service.memory.windows.lead * 5.0 >= 30.0
    assert service.memory.windows == service.memory.model.windows
    assert len(service.memory.shadows.ordered) == service.memory.windows.served_from + 1
