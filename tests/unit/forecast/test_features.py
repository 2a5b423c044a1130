"""Features: nothing ahead is seen, and a refit sees what a tick sees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.forecast.features import DAY_S, LEVEL_S, Past, averages, features, is_high, layout, past
from autoscaler.forecast.series import LoadSeries

SCALE = 0.036


def local(clock_s):
    return clock_s


def series_of(values, start_s=7200.0):
    series = LoadSeries(5.0, start_s)
    series.append(values)
    return series


def traffic(intervals, seed=3):
    random = np.random.default_rng(seed)
    hours = np.arange(intervals) / 720
    return random.poisson(40 * (1 + 0.8 * np.sin(hours)) + 200 * (random.random(intervals) < 0.002)).astype(float)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_no_row_sees_its_own_interval_or_later_ones(seed):
    values = traffic(18_500, seed)
    rows = np.array([300, 5000, 17_900])
    seen = series_of(values)
    plan = layout(seen, lead=3)
    before = features(past(seen, rows, SCALE), rows, plan, local)
    for i, row in enumerate(rows):
        changed = values.copy()
        changed[row:] = np.random.default_rng(seed).poisson(500, len(values) - row)
        after = series_of(changed)
        np.testing.assert_array_equal(features(past(after, rows, SCALE), rows, plan, local)[i], before[i])


def test_the_live_row_is_the_batch_row():
    values = traffic(19_000)
    rows = np.arange(18_000, 19_001, 50)
    whole = series_of(values)
    plan = layout(whole, lead=9)
    batch = features(past(whole, rows, SCALE), rows, plan, local)
    for i, row in enumerate(rows):
        known = series_of(values[:row])
        last_high = max((k for k in range(row - 400, row) if is_high(series_of(values[: k + 1]), SCALE)), default=-1)
        if last_high < 0:
            continue
        now = Past(
            known,
            SCALE,
            level=averages(known.counts * SCALE, 5.0, LEVEL_S)[-1:],
            daily=averages(known.counts * SCALE, 5.0, DAY_S)[-1:],
            silence_s=np.array([(row - 1 - last_high) * 5.0]),
        )
        np.testing.assert_allclose(features(now, rows[i : i + 1], plan, local)[0], batch[i], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("hours", "longest_s"),
    [
        pytest.param(0.01, None, id="no period fits into half a minute"),
        pytest.param(0.5, 900.0, id="half an hour"),
        pytest.param(25, 86_400.0, id="a day"),
        pytest.param(24 * 8, 7 * 86_400.0, id="a week"),
    ],
)
def test_a_period_is_used_once_the_history_holds_it(hours, longest_s):
    series = series_of(np.ones(int(hours * 720)))
    plan = layout(series, lead=3)
    periods = sorted(
        3 * 5.0 - first * 5.0 for first, end in zip(plan.first, plan.end, strict=True) if 0 > end != 0 > first
    )
    assert (max(periods) if periods else None) == longest_s


def test_averages_begin_without_bias():
    assert averages(np.array([4.0, 4.0, 4.0]), 5.0, 60.0).tolist() == pytest.approx([0.0, 4.0, 4.0, 4.0])
