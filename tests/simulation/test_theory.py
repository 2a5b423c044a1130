"""The engine against queueing theory and against other simulators."""

import math

import numpy as np
import pytest
import simpy
from simulation.cases import TTS

from simulations.draw import service_times
from simulations.engine import Batching, Engine, Load, Routing, Service, Watch

SEEDS = range(10)
REQUESTS = 60_000


def waits(service, arrival_s, service_s, pods, route=None):
    """Seconds from arrival to the begin of service; inf for requests that left. The first tenth is left out."""
    engine = Engine(service, Load(arrival_s, service_s, np.ones(1), route=route), Watch(), pods)
    engine.advance(arrival_s[-1])
    engine.finish()
    return (engine.finish_s - arrival_s - service_s)[len(arrival_s) // 10 :]


def poisson(random, rate):
    return np.cumsum(random.exponential(1 / rate, REQUESTS))


def assert_within_confidence(samples, expected):
    """The mean over seeds agrees with theory within its 99.9 % confidence interval (Student, 9 degrees)."""
    error = np.std(samples, ddof=1) / math.sqrt(len(samples))
    assert np.mean(samples) == pytest.approx(expected, abs=4.78 * error)


def erlang_c(servers, offered):
    """Probability of waiting."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


@pytest.mark.parametrize(("servers", "use"), [(1, 0.5), (1, 0.8), (4, 0.8), (10, 0.8), (16, 0.9)])
def test_mmc_waits_as_erlang_c_says(servers, use):
    found = []
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        wait_s = waits(Service(1.0), poisson(random, servers * use), random.exponential(1.0, REQUESTS), servers)
        found.append((np.mean(wait_s > 1e-9), wait_s.mean(), np.mean(wait_s > 1.0)))
    waiting = erlang_c(servers, servers * use)
    slack = servers * (1 - use)
    expected = [waiting, waiting / slack, waiting * math.exp(-slack)]
    for samples, value in zip(np.transpose(found), expected, strict=True):
        assert_within_confidence(samples, value)


def mdc_mean_wait(servers, offered):
    """Crommelin (1932): after one service time every request then in service is gone and the new ones have come.

    So the number N in the system obeys N(t + 1) = max(N(t) - c, 0) + Poisson(offered); Little's law gives the wait.
    """
    states = 40 * servers
    arrivals = [math.exp(-offered + n * math.log(offered) - math.lgamma(n + 1)) for n in range(states)]
    step = np.zeros((states, states))
    for number in range(states):
        stay = max(number - servers, 0)
        step[number, stay:] = arrivals[: states - stay]
    step[:, -1] += 1 - step.sum(axis=1)
    share = np.linalg.lstsq(
        np.vstack([step.T - np.eye(states), np.ones(states)]), np.append(np.zeros(states), 1.0), rcond=None
    )[0]
    return share @ np.arange(states) / offered - 1


@pytest.mark.parametrize(("servers", "use"), [(1, 0.8), (2, 0.7), (4, 0.8), (10, 0.9)])
def test_mdc_waits_as_crommelin_says(servers, use):
    found = []
    for seed in SEEDS:
        random = np.random.default_rng(100 + seed)
        found.append(waits(Service(1.0), poisson(random, servers * use), np.ones(REQUESTS), servers).mean())
    assert_within_confidence(found, mdc_mean_wait(servers, servers * use))


def test_crommelin_gives_the_pollaczek_khinchine_value_for_one_server():
    assert mdc_mean_wait(1, 0.8) == pytest.approx(0.8 / (2 * 0.2), rel=1e-5)


def test_mg1_waits_as_pollaczek_and_khinchine_say():
    found = []
    for seed in SEEDS:
        random = np.random.default_rng(200 + seed)
        service_s = service_times(REQUESTS, TTS, random)
        found.append(waits(Service(1.0), poisson(random, 0.7 / 0.18), service_s, 1).mean())
    assert_within_confidence(found, 0.7 * 0.18 * (1 + 0.6**2) / (2 * 0.3))


@pytest.mark.parametrize(("pods", "slots"), [(6, 1), (2, 3)], ids=["six pods", "two pods of three slots"])
def test_without_a_line_erlang_b_is_lost(pods, slots):
    found = []
    for seed in SEEDS:
        random = np.random.default_rng(300 + seed)
        service = Service(1.0, slots=slots, line=0)
        wait_s = waits(service, poisson(random, 5.0), random.exponential(1.0, REQUESTS), pods)
        found.append(np.mean(np.isinf(wait_s)))
    blocked = 1.0
    for count in range(1, 7):
        blocked = 5.0 * blocked / (count + 5.0 * blocked)
    assert_within_confidence(found, blocked)


def test_random_routing_makes_each_pod_a_queue_of_its_own():
    found = []
    for seed in SEEDS:
        random = np.random.default_rng(400 + seed)
        service = Service(1.0, routing=Routing.RANDOM)
        arrival_s, service_s = poisson(random, 4 * 0.7), random.exponential(1.0, REQUESTS)
        found.append(waits(service, arrival_s, service_s, 4, random.random(REQUESTS)).mean())
    assert_within_confidence(found, 0.7 / 0.3)


@pytest.mark.parametrize(
    ("routing", "pods", "published", "tolerance"),
    [
        (Routing.SHARED, 8, 0.0024, 0.0004),
        (Routing.LEAST, 8, 0.0056, 0.0012),
        (Routing.RANDOM, 8, 0.26, 0.02),
        (Routing.RANDOM, 20, 0.011, 0.002),
    ],
    ids=["shared queue", "least outstanding", "random", "random on 20 pods"],
)
def test_late_shares_under_each_routing_are_those_of_the_protocol(routing, pods, published, tolerance):
    late = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        arrival_s = np.cumsum(random.exponential(1 / 35, 200_000))
        service_s = service_times(len(arrival_s), TTS, random)
        wait_s = waits(Service(0.8, routing=routing), arrival_s, service_s, pods, random.random(len(arrival_s)))
        late.append(np.mean(wait_s + service_s[len(arrival_s) // 10 :] > 0.8))
    assert np.mean(late) == pytest.approx(published, abs=tolerance)


@pytest.mark.parametrize("servers", [1, 3, 8])
def test_ggc_finishes_every_request_when_simpy_does(servers):
    random = np.random.default_rng(servers)
    arrival_s = np.cumsum(random.gamma(0.3, 1 / 0.3, 3000))
    service_s = random.lognormal(0.0, 1.0, 3000) * 0.8 * servers / math.exp(0.5)
    finish_s = np.zeros(3000)

    def request(world, slots, number):
        yield world.timeout(arrival_s[number])
        with slots.request() as slot:
            yield slot
            yield world.timeout(service_s[number])
        finish_s[number] = world.now

    world = simpy.Environment()
    slots = simpy.Resource(world, servers)
    for number in range(3000):
        world.process(request(world, slots, number))
    world.run()

    engine = Engine(Service(1.0), Load(arrival_s, service_s, np.ones(1)), Watch(), servers)
    engine.advance(arrival_s[-1])
    engine.finish()
    np.testing.assert_allclose(engine.finish_s, finish_s, rtol=1e-12)


def test_a_full_batch_takes_its_base_and_the_share_of_its_work():
    # Six at once on one pod: one is taken alone, four of those behind it together, then the last.
    arrival_s, service_s = np.array([0.0, 0.1, 0.1, 0.1, 0.1, 0.1]), np.full(6, 1.0)
    service = Service(1.0, batching=Batching(size=4, base_s=0.5, share=0.25))
    engine = Engine(service, Load(arrival_s, service_s, np.ones(1)), Watch(), 1)
    engine.advance(10.0)
    np.testing.assert_allclose(engine.finish_s, [0.75, 2.25, 2.25, 2.25, 2.25, 3.0])
