"""Shadow services: a fluid queue each, the policy's own rule, one price."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.capacity.missed import ServiceLaw, table
from autoscaler.policies.predictive.keeping import Wants
from autoscaler.policies.predictive.price import Backlog, Outlook
from autoscaler.policies.predictive.shadows import PRICES, Shadows, grid

TTS = ServiceLaw(mean_s=0.18, cs2=0.36, objective_s=0.8, sure_miss_ratio=0.0)
TABLE = table(TTS, 1.0, 20)
RULE = Backlog(drain_s=3.0)


def wanting(pods: int, promised_rps: float = 0.0) -> Wants:
    """The same number of pods at every price, and no use for more."""
    everywhere = np.full(PRICES, pods, dtype=np.int64)
    return Wants(everywhere, everywhere, np.full(PRICES, promised_rps), np.ones((PRICES, 20)))


def test_pods_that_suffice_miss_next_to_nothing_and_too_few_miss_all():
    enough, few = Shadows.begin(8, 4, 20), Shadows.begin(2, 4, 20)
    for _ in range(60):
        enough.advance(4.0, 4.0, 5.0, TTS, TABLE)
        few.advance(4.0, 4.0, 5.0, TTS, TABLE)
    assert enough.misses[0] / enough.requests < 0.001
    assert few.misses[0] / few.requests > 0.9
    assert few.waiting[0] == 30.0 * 2


def test_requests_that_may_wait_for_minutes_can_be_late_too():
    patient = replace(TTS, objective_s=120.0)
    shadows = Shadows.begin(2, 4, 20)
    for _ in range(120):
        shadows.advance(4.0, 4.0, 5.0, patient, table(patient, 1.0, 20))
    assert shadows.misses[0] / shadows.requests > 0.7
    assert shadows.waiting[0] == 2.0 * patient.wait_s * 2


def test_ordered_pods_serve_a_lead_time_later():
    shadows = Shadows.begin(1, 4, 20)
    served = []
    for _ in range(7):
        shadows.advance(0.0, 0.0, 5.0, TTS, TABLE)
        served.append(int(shadows.ordered.min(axis=0)[0]))
        shadows.follow(wanting(5), 0.0, 5.0)
    assert served == [1, 1, 1, 1, 1, 5, 5]


@given(st.lists(st.floats(0, 30), min_size=1, max_size=40), st.integers(1, 12))
def test_misses_never_exceed_requests_and_queues_are_bounded(loads, pods):
    shadows = Shadows.begin(pods, 4, 20)
    for load in loads:
        missed = shadows.advance(load, load, 5.0, TTS, TABLE)
        assert (missed >= 0).all()
        assert (missed <= 5.0 * load / TTS.mean_s + 1e-9).all()
        assert (shadows.waiting >= 0).all()
        assert (shadows.waiting <= 30.0 * pods + 1e-9).all()
    assert (shadows.misses <= shadows.requests + 1e-9).all()


def test_clearing_forgets_misses_and_keeps_pods():
    shadows = Shadows.begin(3, 4, 20)
    shadows.advance(9.0, 9.0, 5.0, TTS, TABLE)
    shadows.clear()
    assert shadows.requests == 0.0
    assert not shadows.misses.any()
    assert (shadows.keeping.target == 3).all()


def test_what_forecasts_promised_is_told_as_a_share_and_outlives_clearing():
    shadows = Shadows.begin(3, 4, 20)
    assert shadows.told(grid(TTS.mean_s)) is None, "no request was foreseen yet"
    for _ in range(12):
        shadows.advance(1.8, 1.8, 5.0, TTS, TABLE)  # ten requests/s
        shadows.follow(wanting(3, promised_rps=0.5), 0.0, 5.0)
    shadows.clear()
    told = shadows.told(grid(TTS.mean_s))
    assert told is not None
    assert told.promised == pytest.approx(np.full(PRICES, 0.05), rel=1e-3)
    assert told.requests == 0.0


@pytest.mark.parametrize("served_from", [2, 4, 9])
def test_another_lead_time_keeps_what_was_ordered_last(served_from):
    shadows = Shadows.begin(3, 4, 20)
    shadows.follow(wanting(5), 0.0, 5.0)
    shadows.reach(served_from)
    assert shadows.ordered.shape == (served_from + 1, PRICES)
    assert shadows.ordered[:, 0].tolist() == [3] * served_from + [5]


def test_a_queue_that_outlasts_a_start_orders_what_drains_it():
    shadows = Shadows.begin(4, 4, 20)
    for _ in range(4):
        shadows.advance(6.0, 6.0, 5.0, TTS, TABLE)
    assert shadows.waiting[0] == 40.0
    assert shadows.backlog(RULE, TTS, Outlook(6.0, 15.0))[0] == 6 + 14
