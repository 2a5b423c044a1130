"""Features: nothing ahead is seen, and a refit sees what a tick sees."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.forecast.bins import log_ratio
from autoscaler.forecast.features import DAY_S, LEVEL_S, Past, averages, features, is_high, layout, past
from autoscaler.forecast.series import LoadSeries
from autoscaler.model import ColdStart, Workload
from autoscaler.policies.predictive import Backlog, Bounds, PriceRule, Settings

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
    spans = zip(plan.first[: plan.means], plan.end[: plan.means], strict=True)
    periods = sorted(3 * 5.0 - first * 5.0 for first, end in spans if 0 > end != 0 > first)
    assert (max(periods) if periods else None) == longest_s


def test_many_rows_are_the_same_as_some_at_a_time():
    """To the last bit: a model is called by a digest of what was learned from them."""
    series = series_of(traffic(18_000))
    rows, plan = np.arange(9000, 18_001), layout(series, lead=3)
    whole = features(past(series, rows, SCALE), rows, plan, local)
    parts = [features(past(series, part, SCALE), part, plan, local) for part in np.array_split(rows, 3)]
    assert whole.shape == (len(rows), plan.columns)
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_averages_begin_without_bias():
    assert averages(np.array([4.0, 4.0, 4.0]), 5.0, 60.0).tolist() == pytest.approx([0.0, 4.0, 4.0, 4.0])


ZURICH = ZoneInfo("Europe/Zurich")
HOUR_S = 3600.0


def in_zurich(clock_s):
    return np.array([t + datetime.fromtimestamp(t, ZURICH).utcoffset().total_seconds() for t in clock_s])


@pytest.mark.parametrize(
    "day",
    [
        pytest.param(datetime(2026, 3, 29, 15, tzinfo=ZURICH), id="the clocks went forward"),
        pytest.param(datetime(2026, 10, 25, 15, tzinfo=ZURICH), id="they went back"),
        pytest.param(datetime(2026, 7, 15, 15, tzinfo=ZURICH), id="any other day"),
    ],
)
@pytest.mark.parametrize("later_days", [0, 3])
def test_the_day_and_the_week_before_are_those_of_the_local_clock(day, later_days):
    """A rhythm that people keep by their clocks looks a day, and a week, later as it did, whatever the clocks do."""
    end_s = (day + timedelta(days=later_days)).timestamp()
    start_s = end_s - 9 * DAY_S
    clock_s = start_s + 60.0 * np.arange(9 * 1440)
    series = LoadSeries(60.0, start_s)
    series.append(1000 * (1.5 + np.sin(2 * np.pi * in_zurich(clock_s) / DAY_S)))
    rows = np.array([len(series)])
    plan = layout(series, 0)
    seen = past(series, rows, 0.01)
    found = features(seen, rows, plan, in_zurich)[0]
    then = np.flatnonzero((plan.far > 0) & (plan.end - plan.first == 4))  # the four minutes after it
    soon = 10 * (1.5 + np.sin(2 * np.pi * (in_zurich([end_s])[0] + 120.0) / DAY_S))
    assert len(then) == 2
    np.testing.assert_allclose(found[then], np.repeat(log_ratio(soon, seen.level), 2), atol=0.01)


@pytest.mark.parametrize(
    ("at", "local"),
    [
        pytest.param("2026-03-29T00:59:00+00:00", "01:59", id="before the clocks go forward"),
        pytest.param("2026-03-29T01:01:00+00:00", "03:01", id="after"),
        pytest.param("2026-10-25T00:59:00+00:00", "02:59", id="before they go back"),
        pytest.param("2026-10-25T01:01:00+00:00", "02:01", id="after that"),
    ],
)
def test_the_time_of_day_is_that_of_the_services_users(at, local):
    settings = Settings(
        Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84)),
        Bounds(1, 20),
        PriceRule(0.01, 1.3, 0.2, 20.0, 0.7),
        Backlog(3.0),
        time_zone=ZURICH,
    )
    clock_s = datetime.fromisoformat(at).timestamp()
    hours, minutes = divmod(settings.local_s(np.array([clock_s, clock_s - 40 * DAY_S]))[0] % DAY_S // 60, 60)
    assert f"{hours:02.0f}:{minutes:02.0f}" == local
