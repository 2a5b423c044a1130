"""Laws that hold in every run of the engine, and what it refuses."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.test_engine_agrees_with_reference import END_S, commands, loads, play_engine, services

from simulations.engine import Engine, Fate, Load, Routing, Service, Watch, kernel

plays = {"service": services(), "load": loads(), "pods": st.integers(1, 4), "script": commands}


@settings(max_examples=100, deadline=None)
@given(**plays)
def test_requests_are_neither_made_nor_lost(service, load, pods, script):
    engine, rows = play_engine(service, load, pods, script)
    assert not np.isnan(engine.finish_s).any()
    for row in rows:
        in_service = row[kernel.RECEIVED] - row[kernel.COMPLETED] - row[kernel.LEFT] - row[kernel.QUEUED]
        assert row[kernel.BUSY_SLOTS] <= in_service <= row[kernel.BUSY_SLOTS] * service.batching.size
        histograms = row[kernel.SCRAPE_COLUMNS :].reshape(2, -1)
        assert (np.diff(histograms) >= 0).all()
        assert (histograms[:, -1] == row[kernel.COMPLETED]).all()
    for before, after in pairwise(rows):
        counters = [kernel.RECEIVED, kernel.COMPLETED, kernel.LATE, kernel.LEFT, kernel.SERVICE_S]
        assert (after[counters] >= before[counters]).all()


@settings(max_examples=100, deadline=None)
@given(**plays)
def test_a_pod_serves_between_its_first_second_in_service_and_its_end(service, load, pods, script):
    engine, _ = play_engine(service, load, pods, script)
    log = engine.pod_log()
    answered = np.isfinite(engine.finish_s)
    pod = engine.served_by[answered] - 1
    if service.batching.size == 1:
        began_s = engine.finish_s[answered] - load.service_s[answered]
        assert (began_s >= log.serving_s[pod] - 1e-9).all()
        if service.routing is Routing.SHARED:  # a pod that leaves takes no more from the shared line
            assert (began_s <= np.nan_to_num(log.leaving_s[pod], nan=math.inf) + 1e-9).all()
    assert (engine.finish_s[answered] <= np.nan_to_num(log.gone_s[pod], nan=math.inf)).all()


@settings(max_examples=100, deadline=None)
@given(**plays)
def test_the_shared_line_is_first_come_first_served(service, load, pods, script):
    engine, _ = play_engine(service, load, pods, script)
    if service.routing is Routing.SHARED and service.batching.size == 1:
        answered = np.isfinite(engine.finish_s)
        began_s = (engine.finish_s - load.service_s)[answered]
        assert (np.diff(began_s) >= -1e-9).all()
        assert (began_s - load.arrival_s[answered] <= service.patience_s + 1e-9).all()


@settings(max_examples=100, deadline=None)
@given(**plays)
def test_no_pod_has_more_in_service_than_slots(service, load, pods, script):
    engine, _ = play_engine(service, load, pods, script)
    if service.batching.size > 1:
        return
    answered = np.isfinite(engine.finish_s)
    for pod in np.unique(engine.served_by[answered]):
        mine = answered & (engine.served_by == pod)
        ends = np.sort(engine.finish_s[mine])
        begins = np.sort(engine.finish_s[mine] - load.service_s[mine])
        before = np.searchsorted(ends, begins + 1e-9)
        assert (np.arange(1, len(begins) + 1) - before <= service.slots).all()


@settings(max_examples=100, deadline=None)
@given(**plays)
def test_pods_hold_no_more_gpus_than_there_are(service, load, pods, script):
    log = play_engine(service, load, min(pods, service.gpus), script)[0].pod_log()
    holding = np.concatenate(
        [
            np.column_stack([log.placed_s, np.ones(len(log.placed_s))]),
            np.column_stack([log.gone_s, -np.ones(len(log.gone_s))]),
        ]
    )
    holding = holding[~np.isnan(holding[:, 0])]
    order = np.lexsort((holding[:, 1], holding[:, 0]))
    assert np.cumsum(holding[order, 1]).max() <= service.gpus


@settings(max_examples=30, deadline=None)
@given(stops=st.lists(st.floats(0.0, END_S), max_size=20).map(sorted), **plays)
def test_where_the_run_is_stopped_on_the_way_does_not_matter(stops, service, load, pods, script):
    whole = Engine(service, load, Watch(), pods)
    parts = Engine(service, load, Watch(), pods)
    whole.order(3)
    parts.order(3)
    rows = [row for stop_s in [*stops, END_S] for row in parts.advance(stop_s)]
    np.testing.assert_allclose(np.array(rows), whole.advance(END_S), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(parts.finish_s, whole.finish_s)


def one_pod(arrival_s, service_s, **rules):
    return Engine(Service(1.0, **rules), Load(np.array(arrival_s), np.array(service_s), np.array([10.0])), Watch(), 1)


def test_at_one_instant_a_completion_makes_room_for_an_arrival():
    engine = one_pod([0.0, 1.0], [1.0, 1.0], line=0)
    engine.advance(5.0)
    np.testing.assert_array_equal(engine.finish_s, [1.0, 2.0])


def test_a_scrape_sees_what_happens_at_its_own_instant():
    (first, second) = one_pod([5.0], [1.0]).advance(5.0)
    assert (first[kernel.RECEIVED], second[kernel.RECEIVED]) == (0, 1)


def test_who_waits_as_long_as_patience_lasts_leaves():
    engine = one_pod([0.0, 0.5], [10.0, 1.0], patience_s=3.0)
    engine.advance(20.0)
    np.testing.assert_array_equal(engine.finish_s, [10.0, math.inf])


def test_at_the_end_what_waits_is_served_by_pods_that_serve_then():
    engine = one_pod([0.0, 0.0, 0.0], [5.0, 5.0, 5.0])
    engine.order(1)
    engine.advance(1.0)
    engine.finish()
    np.testing.assert_array_equal(engine.finish_s, [5.0, 10.0, 15.0])


def test_with_no_pod_left_what_waits_leaves():
    engine = one_pod([1.0], [1.0])
    engine.shrink(1)
    engine.advance(2.0)
    engine.finish()
    np.testing.assert_array_equal(engine.finish_s, [math.inf])


def test_a_start_that_fails_is_repeated_after_the_kubelets_pause():
    load = Load(np.zeros(0), np.zeros(0), np.array([10.0, 7.0]), np.array([Fate.FAILS, Fate.LOADS], np.int8))
    engine = Engine(Service(1.0), load, Watch(), 0)
    engine.order(1)
    engine.advance(60.0)
    log = engine.pod_log()
    assert (log.loaded_s[0], log.restarts[0]) == (10.0 + 10.0 + 7.0, 1)


def test_a_run_of_many_pods_grows_its_tables():
    engine = one_pod([], [])
    for second in range(500):
        engine.order(7)
        engine.advance(float(second))
        engine.shrink(7)
    assert len(engine.pod_log().ordered_s) == 3501
    assert len(engine.live()) == 1


GOOD = {"arrival_s": np.array([0.0, 1.0]), "service_s": np.array([1.0, 1.0]), "start_s": np.array([1.0])}


@pytest.mark.parametrize(
    ("service", "load", "watch", "message"),
    [
        ({}, {"service_s": np.ones(3)}, {}, "2 arrivals, but 3 service times"),
        ({}, {"arrival_s": np.array([1.0, 0.0])}, {}, "ascending"),
        ({}, {"arrival_s": np.array([-1.0, 0.0])}, {}, "not before 0"),
        ({}, {"arrival_s": np.array([0.0, math.nan])}, {}, "finite"),
        ({}, {"service_s": np.array([1.0, -1.0])}, {}, "not negative"),
        ({}, {"service_s": np.array([1.0, math.inf])}, {}, "finite"),
        ({}, {"start_s": np.zeros(0)}, {}, "at least one cold start"),
        ({}, {"fate": np.zeros(3, np.int8)}, {}, "1 starts, but 3 fates"),
        ({"routing": Routing.RANDOM}, {}, {}, "one uniform number for each request"),
        ({"slots": 0}, {}, {}, "slots must be above 0"),
        ({}, {}, {"scrape_s": 0.0}, "scrape_s must be above 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(service, load, watch, message):
    with pytest.raises(ValueError, match=message):
        Engine(Service(1.0, **service), Load(**GOOD | load), Watch(**watch), 1)
