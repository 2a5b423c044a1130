"""What came, from counters and gauges that are scraped at different moments."""

import pytest

from autoscaler.model import Cause, Missing
from autoscaler.prometheus.arrivals import INSIDE, LAG, READY, RECEIVED, REFUSED, UNSEEN, Arrivals
from autoscaler.prometheus.ledger import Look


def came(arrivals, *looks):
    """What had come after each look: (counters, gauges)."""
    return [
        arrivals.of(Look(float(number), counters, {item: (value,) for item, value in gauges.items()}))
        for number, (counters, gauges) in enumerate(looks)
    ]


@pytest.mark.parametrize(
    ("queue", "looks", "expected"),
    [
        pytest.param(None, [({RECEIVED: 9.0}, {})], [9.0], id="requests"),
        pytest.param(None, [({RECEIVED: 9.0, REFUSED: 4.0}, {})], [5.0], id="without the refused"),
        pytest.param(
            None,
            [
                ({RECEIVED: 9.0, REFUSED: 4.0}, {}),
                ({RECEIVED: 9.0, REFUSED: 5.0}, {}),
                ({RECEIVED: 12.0, REFUSED: 5.0}, {}),
            ],
            [5.0, 5.0, 7.0],
            id="refused after a scrape: it never falls",
        ),
        pytest.param(
            READY, [({RECEIVED: 9.0}, {READY: 30.0}), ({RECEIVED: 19.0}, {READY: 25.0})], [39.0, 44.0], id="ready"
        ),
        pytest.param(LAG, [({RECEIVED: 9.0}, {LAG: 30.0, INSIDE: 4.0})], [35.0], id="a lag holds what is worked on"),
        pytest.param(
            READY,
            [({RECEIVED: 9.0}, {READY: 30.0}), ({}, {READY: 40.0})],
            [39.0, 49.0],
            id="while nobody works: what waits grows",
        ),
        pytest.param(
            READY, [({RECEIVED: 9.0}, {READY: 30.0}), ({RECEIVED: 9.0}, {READY: 0.0})], [39.0, 39.0], id="a purge"
        ),
    ],
)
def test_what_came(queue, looks, expected):
    assert came(Arrivals(queue), *looks) == expected


def test_refusals_that_no_running_pod_tells_of_are_taken_off_all_the_same():
    """Of a pod that is gone, beside pods of a version without that counter."""
    looks = [({RECEIVED: 90.0, REFUSED: 40.0}, {}), ({RECEIVED: 95.0}, {}), ({RECEIVED: 99.0, REFUSED: 41.0}, {})]
    assert came(Arrivals(), *looks) == [50.0, 55.0, 58.0]


@pytest.mark.parametrize("queue", [READY, LAG], ids=["messages are purged or expire", "a group's offset is moved"])
def test_what_comes_after_messages_that_left_untaken_is_seen_within_a_minute(queue):
    arrivals = Arrivals(queue)

    def told(at_s, received, waiting):
        return arrivals.of(Look(at_s, {RECEIVED: received}, {queue: (waiting,)}))

    assert told(0.0, 100.0, 5000.0) == 5100.0
    came_s = [told(15.0 * look, 100.0 + 15.0 * look, 0.0) for look in range(1, 9)]
    assert came_s == [5100.0] * 5 + [5115.0, 5130.0, 5145.0]


def test_a_queue_that_is_not_told_of_is_missing_and_not_empty():
    before, silent, after = came(
        Arrivals(READY), ({RECEIVED: 9.0}, {READY: 30.0}), ({RECEIVED: 9.0}, {}), ({RECEIVED: 10.0}, {READY: 31.0})
    )
    assert (before, after) == (39.0, 41.0)
    assert isinstance(silent, Missing)
    assert silent.cause is Cause.STALE


@pytest.mark.parametrize("item", [RECEIVED, REFUSED], ids=["received", "refused"])
def test_what_began_anew_unseen_is_not_known(item):
    assert Arrivals().of(Look(0.0, {RECEIVED: 5.0}, {}, frozenset({item}))) is UNSEEN
