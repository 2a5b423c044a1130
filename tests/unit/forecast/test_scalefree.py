"""Features that mean the same for every service."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.forecast.dispersion import Dispersion
from autoscaler.forecast.features import past
from autoscaler.forecast.scalefree import COLUMNS, scale_free
from autoscaler.forecast.series import LoadSeries

SCALE = 0.036
LEVEL, DISPERSION = COLUMNS - 2, COLUMNS - 1


def lines(values, rows, scale=SCALE, start_s=0.0):
    series = LoadSeries(5.0, start_s)
    series.append(values)
    rows = np.array(rows)
    return scale_free(past(series, rows, scale), rows, np.full(len(rows), 1.5))


def traffic(seed, intervals=2000):
    return np.random.default_rng(seed).poisson(300, intervals).astype(float)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2000))
def test_no_row_sees_its_own_interval_or_later_ones(seed, row):
    values = traffic(seed)
    changed = values.copy()
    changed[row:] = traffic(seed + 1)[row:] * 9
    np.testing.assert_array_equal(lines(changed, [row]), lines(values, [row]))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_twice_the_load_changes_the_level_alone(seed):
    once, twice = (lines(traffic(seed), range(800, 2000, 100), SCALE * 100 * times) for times in (1, 2))
    np.testing.assert_allclose(np.delete(twice, LEVEL, axis=1), np.delete(once, LEVEL, axis=1), atol=1e-3)
    np.testing.assert_allclose(twice[:, LEVEL] - once[:, LEVEL], np.log(2), atol=1e-3)


def test_the_hour_of_day_changes_nothing():
    np.testing.assert_array_equal(
        lines(traffic(1), [500, 1500], start_s=0.0), lines(traffic(1), [500, 1500], start_s=12_345.0)
    )


def test_a_tick_sees_what_a_lesson_sees():
    values = traffic(3)
    whole = lines(values, [10, 700, 2000])
    for i, row in enumerate((10, 700, 2000)):
        np.testing.assert_allclose(lines(values[:row], [row])[0], whole[i], rtol=1e-9)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param([], 1.5, id="the prior"),
        pytest.param([0.0] * 2000, 1.5, id="silence says nothing"),
        pytest.param([100.0] * 2000, 0.0, id="a clock"),
        pytest.param(np.random.default_rng(1).poisson(100, 4000), 1.0, id="Poisson"),
        pytest.param(10 * np.random.default_rng(1).poisson(10, 4000), 10.0, id="ten at a time"),
    ],
)
def test_dispersion(counts, expected):
    dispersion = Dispersion.over(5.0)
    for count in counts:
        dispersion.add(float(count))
    assert dispersion.value == pytest.approx(expected, rel=0.25, abs=0.02)


def test_a_gap_is_no_jump():
    calm, broken = Dispersion.over(5.0), Dispersion.over(5.0)
    for dispersion in (calm, broken):
        for _ in range(500):
            dispersion.add(10.0)
    broken.skip()
    broken.add(500.0)
    assert broken.value == calm.value
