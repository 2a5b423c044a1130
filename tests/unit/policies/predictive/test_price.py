"""Pods against misses at a price."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.capacity.missed import ServiceLaw, table
from autoscaler.forecast.bins import BINS, bin_of, log_ratio
from autoscaler.policies.predictive.price import (
    Backlog,
    Bounds,
    Outlook,
    backlog_pods,
    expected_misses_rps,
    log_grid,
    loss,
    want,
)

TTS = ServiceLaw(mean_s=0.18, cs2=0.36, objective_s=0.8, sure_miss_ratio=0.0015)
TABLE = table(TTS, 1.0, 20)
BOUNDS = Bounds(1, 20)
PRICES = log_grid(0.05, 120.0, 64)


def sure(load: float, level: float = 1.0):
    """A forecast without doubt."""
    histogram = np.zeros(BINS)
    histogram[bin_of(log_ratio(load, level))] = 1.0
    return histogram


def wanted(load: float, price: float, bounds: Bounds = BOUNDS) -> int:
    return int(
        want(expected_misses_rps(sure(load), 1.0, TABLE.carried, TABLE, TTS.mean_s), np.array([price]), bounds)[0]
    )


@pytest.mark.parametrize(
    ("load", "price", "pods"),
    [
        pytest.param(0.0, 1.3, 1, id="idle: one pod"),
        pytest.param(5.0, 0.05, 1, id="a miss is worth less than its service: one pod"),
        pytest.param(5.0, 1.3, 7, id="five busy pods"),
        pytest.param(1000.0, 1.3, 20, id="beyond what the maximum carries: the maximum, never one"),
    ],
)
def test_what_is_worth_its_cost(load, price, pods):
    assert wanted(load, price) == pytest.approx(pods, abs=1)
    assert (wanted(load, price) == pods) or pods not in (1, 20)


@given(st.floats(0, 30), st.floats(0, 30))
def test_more_load_never_wants_fewer_pods(one, other):
    low, high = sorted((one, other))
    for price in (0.5, 2.0, 20.0):
        assert wanted(low, price) <= wanted(high, price)


@given(st.floats(0, 25), st.integers(1, 10), st.integers(0, 10))
def test_a_dearer_miss_never_wants_fewer_pods_and_bounds_hold(load, least, more):
    bounds = Bounds(least, least + more)
    pods = want(expected_misses_rps(sure(load), 1.0, TABLE.carried, TABLE, TTS.mean_s), PRICES, bounds)
    assert (np.diff(pods) >= 0).all()
    assert bounds.min_pods <= pods[0] <= pods[-1] <= bounds.max_pods


def test_doubt_costs_pods_where_misses_are_dear():
    doubt = (sure(3.0) + sure(12.0)) / 2
    misses = expected_misses_rps(doubt, 1.0, TABLE.carried, TABLE, TTS.mean_s)
    cheap, dear = want(misses, np.array([0.2, 20.0]), BOUNDS)
    assert cheap < 12 < dear


@pytest.mark.parametrize(
    ("load", "waiting_s", "slots", "to_come", "pods"),
    [
        pytest.param(4.0, 0.0, 4.0, 4.0, 0, id="nothing waits"),
        pytest.param(4.0, 1.2, 4.0, 4.0, 0, id="the usual breath of a queue"),
        pytest.param(4.0, 6.0, 4.0, 4.0, 6, id="six seconds of work, gone in three"),
        pytest.param(4.0, 6.0, 0.0, 4.0, 6, id="nothing serves"),
        pytest.param(4.0, 6.0, 5.0, 4.0, 0, id="one spare slot drains it while a pod would load"),
        pytest.param(4.0, 16.0, 5.0, 4.0, 10, id="more than one spare slot drains while a pod loads"),
        pytest.param(6.0, 6.0, 5.0, 4.0, 0, id="five busy seconds by chance"),
        pytest.param(4.0, 6.0, 5.0, 5.0, 6, id="a load that will take the spare slot"),
    ],
)
def test_a_backlog_that_lasts_is_drained_in_time(load, waiting_s, slots, to_come, pods):
    work = (np.array([value]) for value in (load, waiting_s, slots))
    assert backlog_pods(*work, Backlog(drain_s=3.0), Outlook(to_come, 15.0), slots_per_pod=1).tolist() == [pods]


@pytest.mark.parametrize(
    ("wait_s", "drain_s", "threshold"),
    [(0.62, 3.0, 0.3), (0.9, 3.0, 0.3), (3.0, 3.0, 1.0), (60.0, 60.0, 20.0)],
    ids=["text to speech", "a second", "three seconds", "a minute"],
)
def test_a_queue_is_given_the_time_that_the_objective_leaves(wait_s, drain_s, threshold):
    assert Backlog.within(3.0, wait_s) == Backlog(drain_s, threshold)


def test_what_a_further_pod_is_worth_falls_and_is_dearer_kept_at_a_low_price():
    misses = expected_misses_rps(sure(5.0), 1.0, TABLE.carried, TABLE, TTS.mean_s)
    lost = loss(misses, np.array([0.3, 1.3, 20.0]))
    assert ((lost >= 0) & (lost <= 1)).all()
    assert (np.diff(lost, axis=0) <= 0).all()
    assert lost[1, 0] == 0.0, "the first pod always pays"
    assert lost[1, 15] == pytest.approx(1.0), "a pod that saves nothing is lost whole"
