"""Two weeks of counters as counts: resets, pods that come and go, gaps, two scrapers, chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.model import InvalidInput, Unreachable
from autoscaler.prometheus.client import Answer, Series
from autoscaler.prometheus.history import CHUNK_POINTS, STEP_S, Grid, binned, read_history, summed
from autoscaler.prometheus.metrics import SPEECH, Subject

NOW_S = 1_000_000.0


def readings(values):
    """(points, values) of a counter that is None where nobody read it."""
    places = [place for place, value in enumerate(values) if value is not None]
    return np.array(places, dtype=np.intp), np.array([values[place] for place in places], dtype=float)


def counted(*counters):
    history = binned(map(readings, counters), Grid(NOW_S, len(counters[0])))
    return None if history is None else (history.counts.tolist(), history.known.tolist())


YES, NO = True, False


@pytest.mark.parametrize(
    ("counters", "counts", "known"),
    [
        pytest.param([[5, 7, 12]], [2, 5], [YES, YES], id="one pod: increases"),
        pytest.param([[5, 7, 12], [1, 1, 4]], [2, 8], [YES, YES], id="pods are summed"),
        pytest.param([[50, 60, 4, 6]], [10, 4, 2], [YES] * 3, id="a fall is a restart from 0"),
        pytest.param([[5, 7, 9], [None, 3, 8]], [5, 7], [YES, YES], id="a pod that joins others began at 0"),
        pytest.param([[None, 70, 72]], [2], [YES], id="of the first pod ever read only increases are known"),
        pytest.param([[5, 7, None], [1, 1, 2]], [2, 1], [YES, YES], id="a pod that ends takes nothing along"),
        pytest.param([[0, 2, None, None, 8, 9]], [2, 2, 2, 2, 1], [YES, NO, NO, NO, YES], id="a gap is spread evenly"),
        pytest.param(
            [[0, 4, None, None, None], [None, None, None, 900, 908]],
            [4, 5, 7, 8],
            [YES, NO, NO, YES],
            id="other pods after a gap: what lay between",
        ),
        pytest.param(
            [[0, 2, None, 6, 8], [0, 1, 2, 3, 4]], [3, 3, 3, 3], [YES] * 4, id="one pod's gap while another is read"
        ),
    ],
)
def test_counters_become_counts(counters, counts, known):
    assert counted(*counters) == (counts, known)


@pytest.mark.parametrize("counters", [[[None, None]], [[None, 5]], [[5, None]]], ids=["nothing", "one", "old"])
def test_without_two_readings_in_a_row_there_is_no_history(counters):
    assert counted(*counters) is None


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=50), st.data())
def test_whatever_is_lost_no_request_is_counted_twice(steps, data):
    values = np.cumsum(steps).tolist()
    lost = data.draw(st.sets(st.integers(1, len(values) - 2), max_size=len(values))) if len(values) > 2 else set()
    result = counted([None if place in lost else value for place, value in enumerate(values)])
    if result is not None:
        first = len(values) - 1 - len(result[0])
        assert sum(result[0]) == values[-1] - values[first]


@pytest.mark.parametrize(
    ("counters", "total"),
    [
        pytest.param([[5, 7, 12]], [5, 7, 12], id="one"),
        pytest.param([[5, 7, 12], [1, 1, 4]], [6, 8, 16], id="several"),
        pytest.param([[90, 95, None, None], [3, 4, 6, 9]], [93, 99, 101, 104], id="one ends: nothing is taken back"),
        pytest.param([[90, 95, 96, 97], [None, 3, 4, 6]], [90, 98, 100, 103], id="one more joins at 0"),
        pytest.param([[90, 95, None, None], [None, None, 3, 4]], [90, 95, 98, 99], id="all begin anew"),
        pytest.param([[90, 95, 2], [10, 11, 1]], [100, 106, 109], id="a fall is a restart from 0"),
        pytest.param([[90, 95, None, None], [None, None, 97, 99]], [90, 95, 97, 99], id="another name goes on"),
        pytest.param(
            [[90, 95, 96, 96, 96], [None, None, 98, 99, 103]],
            [90, 95, 98, 99, 103],
            id="another name goes on while Prometheus repeats the last sample of the old one",
        ),
        pytest.param(
            [[50, 51, None, None], [30, 31, None, None], [None, None, 53, 54], [None, None, 32, 32]],
            [80, 82, 85, 86],
            id="other names for all go on together",
        ),
        pytest.param(
            [[50, 52, None, None, None], [None, None, 53, 54, None], [None, None, None, None, 57]],
            [50, 52, 53, 54, 57],
            id="another name, and again",
        ),
        pytest.param([[90, None, None, 99], [1, 2, 3, 4]], [91, 92, 93, 103], id="a gap of one"),
        pytest.param([[], [1, 2]], [1, 2], id="one that was never read"),
    ],
)
def test_the_counters_of_a_pod_become_one(counters, total):
    places, values = summed(map(readings, counters))
    assert (places.tolist(), values.tolist()) == (list(range(len(total))), total)


def test_a_pod_whose_counters_were_never_read_has_none():
    assert [each.tolist() for each in summed([readings([])])] == [[], []]


class Store:
    """A Prometheus with counters at every minute; keeps what it was asked."""

    def __init__(self, series, failing=()):
        self.series, self.asked, self.failing = series, [], failing

    def __call__(self, promql, start_s, end_s, step_s):
        assert step_s == STEP_S
        self.asked.append((start_s, end_s))
        if len(self.asked) in self.failing:
            raise Unreachable("down")
        yield Answer(tuple(self.within(each, start_s, end_s) for each in self.series))

    @staticmethod
    def within(series, start_s, end_s):
        return Series(series.labels, tuple(each for each in series.samples if start_s <= each[0] <= end_s))


def pod(name, per_minute, minutes, **labels):
    """A counter that grew evenly for some minutes until now."""
    end_s = NOW_S // STEP_S * STEP_S
    points = tuple((end_s - (minutes - k) * STEP_S, float(per_minute * k)) for k in range(minutes + 1))
    labels = {"__name__": "speech_requests_received_total", "pod": name, "namespace": "voice", "job": "a"} | labels
    return Series(labels, points)


def asked(store, days=3, ended=lambda: False):
    return read_history(store, SPEECH, Subject("voice", "tts"), grid=Grid.until(NOW_S, days * 86400.0), ended=ended)


def test_a_range_is_asked_day_by_day_the_newest_first_without_gap_or_repetition():
    store = Store([pod("tts-b-bcdfg", 6, 4000), pod("tts-c-bcdfg", 4, 4000)])
    history = asked(store)
    moments = [start_s + k * STEP_S for start_s, end_s in store.asked for k in range(int((end_s - start_s) / 60) + 1)]
    assert sorted(moments) == [history.end_s - k * STEP_S for k in range(4320, -1, -1)]
    assert store.asked[0][1] == history.end_s == 999_960.0
    assert all(end_s - start_s < CHUNK_POINTS * STEP_S for start_s, end_s in store.asked)
    assert (len(history.counts), set(history.counts.tolist()), history.known.all()) == (4000, {10}, True)


def test_pods_of_another_deployment_are_not_ours():
    history = asked(Store([pod("tts-b-bcdfg", 6, 100), pod("tts-large-b-bcdfg", 90, 100)]))
    assert history.counts.sum() == 600


def test_a_pod_that_two_scrapers_read_is_counted_once():
    history = asked(Store([pod("tts-b-bcdfg", 6, 100), pod("tts-b-bcdfg", 6, 100, job="renamed")]))
    assert history.counts.sum() == 600


def test_series_that_get_other_names_go_on():
    """Somebody edits how Prometheus labels the pods, which are scraped a minute apart."""
    renamed = []
    for name, minute in (("tts-b-bcdfg", 50), ("tts-c-bcdfg", 51)):
        whole = pod(name, 6, 100)
        renamed.append(Series(whole.labels, whole.samples[:minute]))
        renamed.append(Series({**whole.labels, "zone": "a"}, whole.samples[minute:]))
    assert asked(Store(renamed)).counts.tolist() == [12] * 100


def test_what_no_pod_could_have_answered_is_no_load():
    rejected = [
        pod("tts-b-bcdfg", rate, 40, reason=reason, __name__="speech_requests_rejected_total")
        for reason, rate in (("bad_audio", 4), ("queue_full", 2))
    ]
    history = asked(Store([pod("tts-b-bcdfg", 6, 100), *rejected]))
    assert history.counts.tolist() == [6] * 60 + [2] * 40


def test_when_the_time_is_over_the_newest_days_are_used():
    store = Store([pod("tts-b-bcdfg", 6, 4000)])
    history = asked(store, ended=lambda: len(store.asked) >= 2)
    assert len(history.counts) == 2 * CHUNK_POINTS - 1
    assert history.end_s == 999_960.0


def test_days_that_cannot_be_read_leave_the_newer_ones():
    history = asked(Store([pod("tts-b-bcdfg", 6, 4000)], failing={3}))
    assert len(history.counts) == 2 * CHUNK_POINTS - 1


def test_an_empty_prometheus_has_no_history():
    assert asked(Store([])) is None


@pytest.mark.parametrize("error", [Unreachable("down"), InvalidInput("no")], ids=["unreachable", "refused"])
def test_a_prometheus_that_fails_is_said(error):
    def fails(*_):
        raise error

    with pytest.raises(type(error)):
        asked(fails)


def test_a_value_that_is_no_count_is_left_out():
    series = pod("tts-b-bcdfg", 6, 10)
    odd = tuple((at_s, float("nan") if k == 5 else value) for k, (at_s, value) in enumerate(series.samples))
    history = asked(Store([Series(series.labels, odd)]))
    assert history.counts.tolist() == [6] * 10
    assert history.known.tolist() == [True] * 4 + [False] * 2 + [True] * 4
