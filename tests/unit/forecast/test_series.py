"""The load of the past: running sums, a bounded memory, coarse histories spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autoscaler.forecast.series import SEALED_AT_ONCE, LoadSeries, spread, spread_known
from autoscaler.model import History

counts = arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 1000))


@given(counts, st.integers(1, 7))
def test_one_by_one_and_at_once_are_the_same(values, chunk):
    single, many = LoadSeries(5.0, 100.0), LoadSeries(5.0, 100.0)
    for value in values:
        single.append(float(value))
        assert single.now == single.short()[-1]
    for start in range(0, len(values), chunk):
        many.append(values[start : start + chunk])
    assert single.counts.tolist() == many.counts.tolist() == values.tolist()
    np.testing.assert_allclose(single.short(), many.short(), rtol=1e-6)
    assert single.end_s == many.end_s == 100.0 + 5.0 * len(values)


@given(counts, st.integers(-5, 70), st.integers(0, 70))
def test_means_are_clipped_to_what_is_known(values, first, span):
    end = first + span
    series = LoadSeries(5.0, 0.0)
    series.append(values)
    found = series.mean(np.array([first]), np.array([end]))[0]
    inside = values[max(first, 0) : max(end, 0)]
    assert found == pytest.approx(inside.mean() if len(inside) else 0.0)


def test_the_memory_is_bounded_and_the_clock_goes_on():
    series = LoadSeries(5.0, 0.0, kept_s=500.0)
    for value in range(1000):
        series.append(float(value))
    assert len(series) <= 100
    assert series.end_s == 5000.0
    assert series.counts.tolist() == list(range(1000 - len(series), 1000))
    assert series.sums[0] == 0.0


def test_a_longer_history_than_the_memory_keeps_its_end():
    series = LoadSeries(5.0, 0.0, kept_s=50.0)
    series.append(np.arange(40.0))
    assert series.counts.tolist() == list(range(30, 40))


def test_a_copy_does_not_follow():
    series = LoadSeries(5.0, 0.0)
    series.append([1.0, 2.0])
    twin = series.copy()
    series.append(3.0)
    assert (len(twin), len(series)) == (2, 3)


def test_coarse_bins_are_spread_with_the_noise_of_arrivals():
    fine = spread(np.array([6000, 0, 600]), 60.0, 5.0, np.random.default_rng(1))
    assert len(fine) == 36
    assert fine[:12].mean() == pytest.approx(500, rel=0.05)
    assert fine[:12].std() > 5
    assert fine[12:24].sum() == 0


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=30),
    st.sampled_from([10.0, 15.0, 60.0]),
    st.integers(0, 9),
)
def test_intervals_share_what_a_bin_has_and_no_more(counts, bin_s, seed):
    fine = spread(np.array(counts), bin_s, 5.0, np.random.default_rng(seed))
    assert fine.reshape(len(counts), -1).sum(axis=1).tolist() == counts


def test_bins_that_no_interval_fits_share_it():
    fine = spread(np.full(1000, 70), 7.0, 5.0, np.random.default_rng(1))
    assert len(fine) == 1400
    assert fine.sum() == 70_000
    assert fine.mean() == pytest.approx(50.0)
    assert fine.var() == pytest.approx(50.0 * 0.4, rel=0.5)


def test_fine_bins_are_joined_without_noise():
    assert spread(np.arange(10), 1.0, 5.0, np.random.default_rng(1)).tolist() == [10.0, 35.0]


def test_an_interval_is_known_as_the_bin_that_its_middle_lies_in():
    history = History(15.0, np.array([3, 0, 6]), 45.0, np.array([True, False, True]))
    assert spread_known(history, 10.0).tolist() == [True, False, False, True]
    assert spread_known(History(15.0, np.array([3, 0, 6]), 45.0), 10.0).tolist() == [True] * 4


def test_of_many_intervals_each_has_its_own_mark():
    series = LoadSeries(5.0, 0.0)
    series.append([1.0, 2.0, 3.0], known=np.array([True, False, True]))
    assert series.known.tolist() == [True, False, True]
    assert series.counts.tolist() == [1.0, 2.0, 3.0]


HOUR_S = 3600.0
"""With intervals of an hour, what is older than 24 of them is sealed."""
KINDS = {
    "whole": lambda random, size: random.poisson(random.exponential(50), size),
    "busy": lambda random, size: random.poisson(2000, size),
    "shared by two intervals": lambda random, size: random.poisson(20, size) / 2,
    "now and then shared by three": lambda random, size: (
        random.poisson(9, size) / np.where(random.random(size) < 0.01, 3, 1)
    ),
    "any": lambda random, size: random.exponential(3.0, size),
}


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 99), st.lists(st.integers(1, 900), min_size=1, max_size=6))
def test_sealed_or_not_every_sum_is_the_running_sum_to_the_last_bit(kind, seed, chunks):
    random = np.random.default_rng(seed)
    series, sums, marks = LoadSeries(HOUR_S, 0.0, kept_s=10_000 * HOUR_S), np.zeros(1), np.zeros(0, dtype=bool)
    for size in chunks:
        new, known = KINDS[kind](random, size), random.random(size) < 0.9
        if size % 2:
            series.append(new, known=known)
            sums = np.concatenate([sums, sums[-1] + np.cumsum(new.astype(float))])
        else:
            for count, measured in zip(new.tolist(), known.tolist(), strict=True):
                series.add(count, known=measured)
                sums = np.append(sums, sums[-1] + count)
        marks = np.concatenate([marks, known])
    count = len(marks)
    assert len(series) == count
    assert (series.sums == sums).all()
    assert (series.known == marks).all()
    first, end = np.sort(random.integers(-5, count + 5, size=(2, 50)), axis=0)
    low, high = np.clip(first, 0, count), np.clip(end, 0, count)
    assert (series.mean(first, end) == (sums[high] - sums[low]) / np.maximum(end.clip(0, count) - low, 1)).all()
    whole = LoadSeries(1.0, 0.0)  # a day of seconds is not sealed
    whole.append(np.diff(sums))
    for begin, stop in zip(first.tolist(), end.tolist(), strict=True):
        expected = [(sums[i + 1] - sums[max(i - 2, 0)]) / min(i + 1, 3) for i in range(max(begin, 0), min(stop, count))]
        assert series.short(begin, stop).tolist() == np.float32(expected).tolist()


def test_four_weeks_of_whole_requests_take_little_more_than_two_bytes_an_interval():
    series = LoadSeries(5.0, 0.0)
    series.append(np.random.default_rng(1).poisson(20.0, 28 * 17280))
    parts = [series._known, series._sums, *(getattr(series._sealed, name) for name in series._sealed.__slots__)]
    assert sum(part.nbytes for part in parts) < 1_250_000


def test_a_copy_and_its_origin_grow_apart_though_they_share_what_is_sealed():
    series = LoadSeries(HOUR_S, 0.0, kept_s=10_000 * HOUR_S)
    series.append(np.arange(3 * SEALED_AT_ONCE))
    twin = series.copy()
    series.append(np.full(2 * SEALED_AT_ONCE, 1.0))
    twin.append(np.full(2 * SEALED_AT_ONCE, 2.0))
    assert set(series.counts[3 * SEALED_AT_ONCE :]) == {1.0}
    assert set(twin.counts[3 * SEALED_AT_ONCE :]) == {2.0}
    assert (series.counts[: 3 * SEALED_AT_ONCE] == twin.counts[: 3 * SEALED_AT_ONCE]).all()


def test_at_the_limit_what_was_sealed_goes_too():
    series = LoadSeries(HOUR_S, 0.0, kept_s=3 * SEALED_AT_ONCE * HOUR_S)
    for value in range(5 * SEALED_AT_ONCE):
        series.add(float(value))
    assert len(series) <= 3 * SEALED_AT_ONCE
    assert series.end_s == 5 * SEALED_AT_ONCE * HOUR_S
    assert series.counts.tolist() == list(range(5 * SEALED_AT_ONCE - len(series), 5 * SEALED_AT_ONCE))
    assert series.sums[0] == 0.0
