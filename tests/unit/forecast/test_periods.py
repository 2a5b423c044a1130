"""Rhythms that nobody listed."""

import numpy as np
import pytest

from autoscaler.forecast.periods import unlisted_period_s
from autoscaler.forecast.series import LoadSeries

CLOCK_S = 5.0 * np.arange(720 * 24)
"""A day."""
DAILY = 60 + 50 * np.sin(2 * np.pi * CLOCK_S / 86400)


def pulses(every_s, length_s=120.0, height=100.0, late_s=0.0):
    random = np.random.default_rng(3)
    late = late_s * random.random(1 + int(CLOCK_S[-1] // every_s))[(CLOCK_S // every_s).astype(int)]
    return height * ((CLOCK_S % every_s >= late) & (CLOCK_S % every_s < late + length_s))


@pytest.mark.parametrize(
    ("mean", "period_s"),
    [
        pytest.param(10 + pulses(37 * 60), 37 * 60, id="every 37 minutes"),
        pytest.param(10 + pulses(37 * 60, late_s=60.0), 37 * 60, id="not to the second"),
        pytest.param(10 + pulses(1234.0), 1235, id="not to the minute"),
        pytest.param(DAILY + pulses(37 * 60), 37 * 60, id="within a daily swing"),
        pytest.param(30 + 25 * np.sin(2 * np.pi * CLOCK_S / 5400), 5400, id="a swing of 90 minutes"),
        pytest.param(10 + pulses(3600.0), None, id="every hour is listed"),
        pytest.param(10 + pulses(900.0), None, id="so is every quarter of an hour, with its multiples"),
        pytest.param(10 + pulses(3600 * 1.05), None, id="near an hour"),
        pytest.param(DAILY, None, id="a daily swing"),
        pytest.param(np.full(len(CLOCK_S), 50.0), None, id="a steady load"),
        pytest.param(10 + pulses(8 * 3600.0 - 60, height=0.0), None, id="none"),
        pytest.param(10 + 200 * (CLOCK_S == 40_000), None, id="a single spike"),
    ],
)
def test_what_is_found(mean, period_s):
    series = LoadSeries(5.0, 0.0)
    series.append(np.random.default_rng(1).poisson(mean))
    found = unlisted_period_s(series)
    assert found == (None if period_s is None else pytest.approx(period_s, abs=20))


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param(np.zeros(0), id="no history"),
        pytest.param(np.zeros(40), id="minutes"),
        pytest.param(np.zeros(5000), id="silence"),
        pytest.param(pulses(37 * 60)[: 720 + 360], id="only twice"),
    ],
)
def test_too_little_to_tell(counts):
    series = LoadSeries(5.0, 0.0)
    series.append(counts)
    assert unlisted_period_s(series) is None
