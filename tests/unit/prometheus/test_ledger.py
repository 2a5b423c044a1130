"""Sums over pods that are scraped each at its own moment, restart, appear and end."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.prometheus.ledger import Item, Ledger, Samples, scrape_interval_s

FLEET = {"a": -math.inf, "b": -math.inf}
"""Two pods older than any looking."""


RECEIVED, QUEUED = Item("received"), Item("queued")


def counter(pod, *points, series=(), item=RECEIVED):
    return Samples(pod, item, series, True, points)


def gauge(pod, *points, series=()):
    return Samples(pod, QUEUED, series, False, points)


def ledger(interval_s=5.0, since_s=0.0):
    return Ledger(interval_s, since_s)


def increases(looks, item=RECEIVED):
    return [(round(look.at_s, 3), look.counters.get(item, 0.0)) for look in looks]


def test_one_pod_gives_its_samples():
    looks = ledger().take([counter("a", (2, 100), (7, 110), (12, 130))], FLEET, until_s=14)
    assert increases(looks) == [(2, 0), (7, 10), (12, 30)]


def test_what_was_entered_is_not_entered_again():
    book = ledger()
    book.take([counter("a", (2, 100), (7, 110))], FLEET, until_s=9)
    looks = book.take([counter("a", (2, 100), (7, 110), (12, 130))], FLEET, until_s=14)
    assert increases(looks) == [(12, 30)]


def test_pods_of_different_phase_sum_at_the_mean_of_their_times():
    looks = ledger().take([counter("a", (1, 0), (6, 10), (11, 20)), counter("b", (4, 0), (9, 30))], FLEET, until_s=11)
    assert increases(looks) == [(1, 0), (5, 10), (10, 50)]


def test_a_sum_is_as_new_as_the_samples_are():
    """Half of the pods were read since the last look: half of the increase and half of the time."""
    book = ledger()
    book.take([counter("a", (1, 0), (6, 10)), counter("b", (3.5, 0))], FLEET, until_s=7)
    [look] = book.take([counter("a", (6, 10)), counter("b", (3.5, 0), (8.5, 10))], FLEET, until_s=9)
    assert look.at_s == pytest.approx(7.25)  # 4.75 before
    assert look.counters[RECEIVED] == 20


@pytest.mark.parametrize(
    ("samples", "total"),
    [
        pytest.param([(0, 5), (5, 9), (10, 3), (15, 4)], 8, id="restart: counts from 0"),
        pytest.param([(0, 5), (5, 0), (10, 0)], 0, id="restart, idle since"),
        pytest.param([(0, 5), (5, 5), (10, 5)], 0, id="idle"),
        pytest.param([(0, 5)], 0, id="a single sample is a base"),
    ],
)
def test_restarts(samples, total):
    looks = ledger().take([counter("a", *samples)], FLEET, until_s=16)
    assert looks[-1].counters[RECEIVED] == total


@pytest.mark.parametrize(
    ("born_s", "total"),
    [
        pytest.param({"a": -math.inf, "b": 4.0}, 12 + 7, id="younger than our looking: from its start"),
        pytest.param({"a": -math.inf, "b": -60.0}, 12, id="older, only its scrapes are new: a base"),
        pytest.param({"a": -math.inf}, 12, id="unknown to the fleet: a base"),
    ],
)
def test_a_pod_that_appears(born_s, total):
    batch = [counter("a", (0, 0), (5, 6), (10, 12)), counter("b", (8, 7))]
    looks = ledger(since_s=-1.0).take(batch, born_s, until_s=10)
    assert looks[-1].counters[RECEIVED] == total


@pytest.mark.parametrize("order", [1, -1])
def test_a_label_that_is_new_on_a_known_pod_counts_from_0_in_any_order(order):
    batch = [
        counter("a", (0, 100), (5, 110), series=("200",)),
        counter("a", (5, 3), series=("500",)),
    ]
    looks = ledger().take(batch[::order], FLEET, until_s=6)
    assert looks[-1].counters[RECEIVED] == 13


def test_a_pod_that_returns_after_silence_brings_only_its_share():
    """100 s of requests must not look like a burst of one interval."""
    book = ledger()
    steady = [(t, 2.0 * t) for t in range(0, 125, 5)]
    quiet = [sample for sample in steady if not 20 < sample[0] < 120]
    looks = book.take([counter("a", *steady), counter("b", *quiet)], FLEET, until_s=121)
    rates = [
        (later.counters[RECEIVED] - earlier.counters[RECEIVED]) / (later.at_s - earlier.at_s)
        for earlier, later in pairwise(looks)
    ]
    assert max(rates) <= 4.0 + 1e-9


def test_silence_of_all_pods_loses_nothing():
    looks = ledger().take([counter("a", (0, 0), (5, 10), (105, 210), (110, 220))], FLEET, until_s=111)
    assert increases(looks)[-1] == (110, 220)
    assert looks[-2].counters[RECEIVED] == 210


@pytest.mark.parametrize(
    ("b", "unseen_s"),
    [
        pytest.param([(0, 0), (5, 10), (105, 210), (110, 220), (115, 230)], [105], id="only a: its look"),
        pytest.param([(0, 0), (5, 10), (105, 7), (110, 17), (115, 27)], [105], id="both at once"),
        pytest.param([(2, 0), (7, 10), (112, 9), (117, 19), (122, 29)], [105, 111], id="b is read later: both looks"),
    ],
)
def test_a_restart_in_a_silence_of_all_pods_is_no_fall_of_the_load(b, unseen_s):
    """How much the old counter grew before it ended nobody saw: an average over the silence would be too low."""
    a = [(0, 0), (5, 10), (105, 7), (110, 17), (115, 27), (120, 37)]
    looks = ledger().take([counter("a", *a), counter("b", *b)], FLEET, until_s=122)
    assert [look.at_s for look in looks if RECEIVED in look.unseen] == unseen_s


def test_a_pod_that_restarts_in_its_own_silence_hides_nothing_of_the_others():
    steady = [(t, 2.0 * t) for t in range(0, 125, 5)]
    looks = ledger().take([counter("a", *steady), counter("b", (0, 900), (5, 910), (105, 7))], FLEET, until_s=121)
    assert not any(look.unseen for look in looks)


def test_a_pod_that_ended_stays_in_the_sum_and_leaves_the_mean():
    book = ledger()
    book.take([counter("a", (0, 0), (5, 10)), counter("b", (0, 0), (5, 10))], FLEET, until_s=6)
    looks = book.take([counter("a", (10, 20), (15, 30))], {"a": -math.inf}, until_s=16)
    assert increases(looks)[-1] == (15, 40)
    assert set(book.heard_s) == {"a"}


def test_gauges_are_the_latest_values_of_running_pods():
    batch = [
        gauge("a", (0, 4), (5, 6), series=("x",)),
        gauge("a", (0, 1), (5, 1), series=("y",)),
        gauge("b", (2, 3)),
        counter("a", (0, 0), (5, 0)),
    ]
    [*_, look] = ledger().take(batch, FLEET, until_s=6)
    assert look.gauges == {QUEUED: (6, 1, 3)}


def test_a_gauge_that_its_pod_no_longer_exports_is_gone():
    [*_, look] = ledger().take([gauge("a", (0, 4)), counter("a", (0, 0), (5, 0), (10, 0))], FLEET, until_s=11)
    assert look.gauges == {}


def test_a_counter_that_no_pod_exports_any_more_is_absent_and_not_idle():
    left = counter("a", (0, 1), (5, 2), item=Item("left"))
    looks = ledger().take([counter("a", (0, 0), (5, 0), (10, 0)), left], FLEET, until_s=11)
    assert [Item("left") in look.counters for look in looks] == [True, True, False]


@pytest.mark.parametrize(
    ("counts", "levels", "still_s"),
    [
        pytest.param([(2, 7), (7, 9), (12, 9)], [(12, 0)], 7, id="received and holds nothing"),
        pytest.param([(2, 9), (7, 9), (12, 10)], [(12, 0)], None, id="has received one more"),
        pytest.param([(2, 9), (7, 9), (12, 9)], [(12, 1)], None, id="holds one"),
        pytest.param([(2, 9), (7, 9), (12, 0)], [(12, 0)], 7, id="restarted"),
        pytest.param([(12, 9)], [(12, 0)], None, id="sampled once"),
        pytest.param([(7, 9), (12, 9)], [], None, id="does not say what it holds"),
    ],
)
def test_a_pod_that_stands_still(counts, levels, still_s):
    book = ledger()
    book.take([counter("a", *counts), gauge("a", *levels)], FLEET, until_s=14)
    assert book.still_since_s("a", RECEIVED, QUEUED) == still_s


def test_samples_from_a_clock_slightly_ahead_count_as_of_now():
    [*_, look] = ledger().take([counter("a", (0, 0), (5.4, 9))], FLEET, until_s=5.0)
    assert (look.at_s, look.counters[RECEIVED]) == (5.0, 9)


def test_nothing_new_gives_no_look():
    book = ledger()
    book.take([counter("a", (0, 0), (5, 1))], FLEET, until_s=6)
    assert book.take([counter("a", (0, 0), (5, 1))], FLEET, until_s=9) == []


@pytest.mark.parametrize(
    ("samples", "interval_s"),
    [
        pytest.param([(0, 0), (15, 0), (30, 0)], 15, id="regular"),
        pytest.param([(0, 0), (5, 0), (15, 0), (20, 0)], 5, id="one lost"),
        pytest.param([(0, 0)], None, id="cannot be told from one sample"),
    ],
)
def test_the_scrape_interval_is_measured(samples, interval_s):
    assert scrape_interval_s([counter("a", *samples)]) == interval_s


values = st.lists(st.integers(0, 50), min_size=1, max_size=12)
pods = st.dictionaries(st.sampled_from("abcde"), st.tuples(st.floats(0, 4.9), values), min_size=1)


def batch_of(fleet):
    return [
        counter(pod, *((phase_s + 5 * i, float(value)) for i, value in enumerate(series)))
        for pod, (phase_s, series) in fleet.items()
    ]


@given(pods)
def test_sums_and_times_never_fall(fleet):
    looks = ledger().take(batch_of(fleet), dict.fromkeys(fleet, -math.inf), until_s=70)
    for earlier, later in pairwise(looks):
        assert later.at_s > earlier.at_s
        assert later.counters[RECEIVED] >= earlier.counters[RECEIVED]


@given(pods, st.randoms(use_true_random=False))
def test_the_sum_is_free_of_order(fleet, chance: random.Random):
    born_s = dict.fromkeys(fleet, -math.inf)
    shuffled = batch_of(fleet)
    chance.shuffle(shuffled)
    assert ledger().take(batch_of(fleet), born_s, 70.0) == ledger().take(shuffled, born_s, 70.0)


@given(pods, st.lists(st.floats(1, 69), max_size=8).map(sorted))
def test_the_sum_does_not_depend_on_when_it_was_read(fleet, moments_s):
    born_s = dict.fromkeys(fleet, -math.inf)
    whole, parts = ledger(), ledger()
    whole.take(batch_of(fleet), born_s, 70.0)
    for until_s in [*moments_s, 70.0]:
        seen = [
            counter(r.pod, *(s for s in r.points if s[0] <= until_s))
            for r in batch_of(fleet)
            if r.points[0][0] <= until_s
        ]
        parts.take(seen, born_s, until_s)
    assert parts.totals == pytest.approx(whole.totals)


@given(st.integers(1, 12), st.floats(0.5, 20.0), st.randoms(use_true_random=False))
def test_equal_pods_give_the_true_rate_at_any_moment(count, rate_rps, chance: random.Random):
    """Each tick, whatever pods were read since the last one, the difference of two looks is the rate."""
    phases_s = {f"p{i}": chance.uniform(0.0, 5.0) for i in range(count)}
    born_s = dict.fromkeys(phases_s, -math.inf)
    book, looks = ledger(), []
    for tick in range(6, 60):
        until_s = tick + chance.uniform(0.0, 0.2)
        seen = [
            counter(pod, *((phase + 5 * i, rate_rps * (phase + 5 * i)) for i in range(12) if phase + 5 * i <= until_s))
            for pod, phase in phases_s.items()
        ]
        looks += book.take(seen, born_s, until_s)
    for earlier, later in pairwise(looks[1:]):
        rate = (later.counters[RECEIVED] - earlier.counters[RECEIVED]) / (later.at_s - earlier.at_s)
        assert rate == pytest.approx(count * rate_rps)


def renamed(before, after, looks=6):
    """Increases of two pods that count 10 a scrape, whose series get other names after the third scrape."""
    batches = []
    for look in range(1, looks + 1):
        names = before if look <= 3 else after
        each = [(5.0 * look, (1000.0 + 10 * look) / len(names))]
        batches.append([counter(pod, *each, series=(name,)) for pod in "ab" for name in names])
    return batches


@pytest.mark.parametrize(
    ("at_once", "ahead_s"),
    [
        pytest.param(True, 0.0, id="in one answer"),
        pytest.param(False, 0.0, id="scrape by scrape"),
        pytest.param(False, 0.4, id="scrape by scrape, by a clock ahead of ours"),
    ],
)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(["service=tts"], ["service=speech"], id="another value"),
        pytest.param(["code=200", "code=503"], ["code=200,zone=a", "code=503,zone=a"], id="another label"),
    ],
)
def test_series_that_get_other_names_go_on(before, after, at_once, ahead_s):
    """Somebody edits how Prometheus labels the target: what was counted over days did not come in one scrape."""
    book = ledger()
    batches = renamed(before, after)
    if at_once:
        whole = {}
        for each in (each for batch in batches for each in batch):
            known = whole.get((each.pod, each.series))
            points = (*(known.points if known else ()), *each.points)
            whole[each.pod, each.series] = counter(each.pod, *points, series=each.series)
        looks = book.take(list(whole.values()), FLEET, until_s=31)
    else:
        looks = [
            look for place, batch in enumerate(batches, 1) for look in book.take(batch, FLEET, 5.0 * place - ahead_s)
        ]
    sums = [round(look.counters[RECEIVED], 6) for look in looks]
    assert sums[-1] == 100
    assert {round(b - a, 6) for a, b in pairwise(sums)} == {20}


def test_a_pod_that_restarts_and_counts_by_other_labels_began_at_0():
    book = ledger()
    book.take([counter("a", (5, 100), series=("lang=en",))], FLEET, until_s=5)
    [look] = book.take([counter("a", (10, 3), series=("lang=zh",))], FLEET, until_s=10)
    assert look.counters[RECEIVED] == 3


def test_a_label_that_is_new_joins_at_0():
    book = ledger()
    book.take([counter("a", (5, 100), series=("code=200",))], FLEET, until_s=5)
    batch = [counter("a", (10, 110), series=("code=200",)), counter("a", (10, 4), series=("code=503",))]
    [look] = book.take(batch, FLEET, until_s=10)
    assert look.counters[RECEIVED] == 14
