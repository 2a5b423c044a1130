"""What was not measured is guessed from a week or a day before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.features import features, layout, past
from autoscaler.forecast.gaps import expected, mended
from autoscaler.forecast.leadtime import Windows
from autoscaler.forecast.series import LoadSeries
from autoscaler.model import History
from autoscaler.policies.predictive.learn import measured

HOUR = 3600.0
DAYS = np.arange(24 * 16)
"""Hours of sixteen days."""


def history(counts, missing):
    known = np.ones(len(counts), dtype=bool)
    known[missing] = False
    return History(HOUR, np.where(known, counts, 0).astype(np.int64), end_s=HOUR * len(counts), known=known)


@pytest.mark.parametrize(
    ("counts", "missing", "expected_counts"),
    [
        pytest.param([5, 6, 7], [], [5, 6, 7], id="nothing is missing"),
        pytest.param([5, 6, 7, 8], [1, 2], [5, 5, 5, 8], id="the last measured one goes on"),
        pytest.param([5, 6, 7, 8], [0, 1], [7, 7, 7, 8], id="the first measured one counts back"),
        pytest.param([5, 6], [0, 1], [0, 0], id="nothing was measured"),
    ],
)
def test_without_a_day_before(counts, missing, expected_counts):
    assert mended(history(np.array(counts), missing)).tolist() == expected_counts


@given(st.integers(24, 24 * 16 - 1), st.integers(1, 24 * 5))
def test_a_daily_rhythm_is_mended_without_a_seam(first, hours):
    rhythm = 100 + 50 * (DAYS % 24)
    gap = np.arange(first, min(first + hours, len(DAYS)))
    assert mended(history(rhythm, gap)).tolist() == rhythm.tolist()


@given(st.integers(24 * 7, 24 * 16 - 1), st.integers(1, 24 * 9))
def test_so_is_a_weekly_one_after_its_first_week(first, hours):
    rhythm = np.where(DAYS // 24 % 7 < 5, 100, 20) + DAYS % 24
    gap = np.arange(first, min(first + hours, len(DAYS)))
    assert mended(history(rhythm, gap)).tolist() == rhythm.tolist()


def test_what_came_meanwhile_is_expected_to_be_as_a_day_before():
    series = LoadSeries(HOUR, 0.0)
    series.append(np.arange(30.0))
    assert expected(series, 26, otherwise=7.0).tolist() == [*range(6, 30), 6, 7]
    short = LoadSeries(HOUR, 0.0)
    short.append(np.arange(10.0))
    assert expected(short, 3, otherwise=7.0).tolist() == [7.0, 7.0, 7.0]


def test_nothing_is_learned_from_what_was_not_measured():
    series = LoadSeries(5.0, 0.0)
    known = np.ones(200, dtype=bool)
    known[100:120] = False
    series.append(np.ones(200), known=known)
    rows = np.arange(20, 180)
    good = rows[measured(series, rows, Windows(3, (3, 7), 7, 4).horizon)]
    # Neither windows of 7 intervals that reach into the gap, nor a present level (12 intervals) that comes out of it.
    assert set(rows) - set(good) == set(range(94, 132))


def test_a_lost_day_does_not_look_like_an_idle_one():
    """What came a day and a week ago is, after a lost day, what a record without loss would say."""
    rhythm = (50 + 40 * np.sin(np.arange(24 * 60 * 9) * 2 * np.pi / 1440)).round()
    lost = np.arange(24 * 60 * 7, 24 * 60 * 8)
    known = np.ones(len(rhythm), dtype=bool)
    known[lost] = False
    seen = {}
    for name, counts in {
        "whole": rhythm,
        "mended": mended(History(60.0, np.where(known, rhythm, 0).astype(np.int64), 0.0, known)),
        "idle": np.where(known, rhythm, 0.0),
    }.items():
        series = LoadSeries(60.0, 0.0)
        series.append(counts)
        rows = np.array([24 * 60 * 8 + 300])
        seen[name] = features(past(series, rows, 0.01), rows, layout(series, 1), lambda clock_s: clock_s)
    np.testing.assert_allclose(seen["mended"], seen["whole"], atol=1e-9)
    assert np.abs(seen["idle"] - seen["whole"]).max() > 0.5
