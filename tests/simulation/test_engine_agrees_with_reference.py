"""The compiled engine and the obvious one tell the same story, event by event."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulation.reference_engine import ReferenceEngine

from simulations.engine import UNLIMITED, Batching, Engine, Fate, Load, Routing, Service, Watch, kernel

SCRAPE_S = 5.0
END_S = 120.0
OUT_OF_SERVICE = {"pending", "starting", "standby"}
STAYING = {*OUT_OF_SERVICE, "promoting", "serving"}


@st.composite
def services(draw):
    return Service(
        objective_s=1.0,
        slots=draw(st.sampled_from([1, 1, 2, 4])),
        routing=draw(st.sampled_from(list(Routing))),
        batching=draw(st.sampled_from([Batching(), Batching(), Batching(4, 0.1, 0.5)])),
        patience_s=draw(st.sampled_from([math.inf, 30.0, 3.0])),
        line=draw(st.sampled_from([UNLIMITED, UNLIMITED, 0, 5])),
        gpus=draw(st.sampled_from([UNLIMITED, 4])),
    )


@st.composite
def loads(draw, requests=150, starts=40):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mean_s = draw(st.sampled_from([0.3, 1.0, 3.0]))
    faults = draw(st.sampled_from([0.0, 0.3]))
    return Load(
        arrival_s=np.sort(random.uniform(0.0, 100.0, requests)),
        service_s=random.lognormal(math.log(mean_s), 0.5, requests),
        start_s=random.lognormal(math.log(10.0), 0.3, starts),
        fate=random.choice([Fate.LOADS, Fate.FAILS, Fate.HANGS], starts, p=[1 - faults, faults / 2, faults / 2]).astype(
            np.int8
        ),
        route=random.random(requests),
    )


commands = st.lists(
    st.tuples(
        st.floats(0.0, END_S, exclude_max=True),
        st.sampled_from(["scale", "scale", "gate", "promote"]),
        st.integers(0, 7),
    ),
    min_size=3,
    max_size=25,
).map(sorted)
"""When, what, and how many: replicas, pods to gate (the latest ordered first), gated pods to promote."""


def play_engine(service, load, pods, script):
    engine = Engine(service, load, Watch(SCRAPE_S, 0.0, (0.5, 1.0, 2.0)), pods)
    rows = []
    for at_s, what, number in script:
        rows.extend(engine.advance(at_s))
        live = engine.live().copy()
        phases, gated = engine.table[1][live, kernel.PHASE], engine.table[1][live, kernel.GATED]
        if what == "scale":
            now = int(np.count_nonzero(phases != kernel.DRAINING))
            engine.order(max(0, number - now))
            engine.shrink(max(0, now - number))
        elif what == "gate":
            assert all(engine.gate(pod) for pod in live[phases <= kernel.SERVING][::-1][:number])
        else:
            assert all(engine.promote(pod) for pod in live[(phases <= kernel.STANDBY) & (gated == 1)][:number])
    rows.extend(engine.advance(END_S))
    engine.finish()
    return engine, rows


def play_reference(service, load, pods, script):
    reference = ReferenceEngine(service, load, SCRAPE_S, pods)
    for at_s, what, number in script:
        reference.advance(at_s)
        if what == "scale":
            reference.scale(number)
        elif what == "gate":
            reference.gate([pod for pod in reversed(reference.pods) if pod.phase in STAYING][:number])
        else:
            reference.promote([pod for pod in reference.pods if pod.phase in OUT_OF_SERVICE and pod.gated][:number])
    reference.advance(END_S)
    reference.finish()
    return reference


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(service=services(), load=loads(), pods=st.integers(1, 4), script=commands)
def test_same_events_in_every_mode(service, load, pods, script):
    engine, rows = play_engine(service, load, pods, script)
    reference = play_reference(service, load, pods, script)

    np.testing.assert_array_equal(engine.finish_s, reference.finish_s)
    answered = np.isfinite(engine.finish_s)
    np.testing.assert_array_equal(engine.served_by[answered], np.array(reference.served_by)[answered])

    log = engine.pod_log()
    for name in ("ordered_s", "placed_s", "loaded_s", "serving_s", "leaving_s"):
        np.testing.assert_array_equal(getattr(log, name), [getattr(pod, name) for pod in reference.pods], name)
    np.testing.assert_array_equal(log.restarts, [pod.restarts for pod in reference.pods])
    gone_s = np.array([pod.gone_s for pod in reference.pods])
    in_time = ~(gone_s > END_S)
    np.testing.assert_array_equal(log.gone_s[in_time], gone_s[in_time])

    assert len(rows) == len(reference.scrapes) == END_S / SCRAPE_S + 1
    columns = {
        "at_s": kernel.NOW,
        "received": kernel.RECEIVED,
        "completed": kernel.COMPLETED,
        "late": kernel.LATE,
        "left": kernel.LEFT,
        "queued": kernel.QUEUED,
        "busy": kernel.BUSY_SLOTS,
        "concurrency_s": kernel.CONCURRENCY_S,
        "oldest_wait_s": kernel.OLDEST_WAIT,
    }
    for row, scrape in zip(rows, reference.scrapes, strict=True):
        assert {name: row[column] for name, column in columns.items()} == pytest.approx(scrape, abs=1e-6)
