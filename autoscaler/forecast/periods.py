"""A rhythm that the fixed list of periods does not hold: a job every 37 minutes, a shift of 9 hours.

The highest peak of the autocorrelation of the minutes' counts, where it stands out and no listed period explains it.
Research note "algorithm", C.2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.features import PERIODS_S
from autoscaler.forecast.series import LoadSeries

Floats = npt.NDArray[np.floating]

MINUTE_S = 60.0
LONGEST_S = 12 * 3600.0
LEAST_TIMES = 3
"""A rhythm must have been seen so often."""
LEAST_CORRELATION = 0.3
LEAST_PROMINENCE = 0.2
"""Above the valleys beside it: a slow swing correlates at every short lag."""
NEAR = 0.1
"""A listed period this near serves as well."""


def unlisted_period_s(series: LoadSeries) -> float | None:
    """The strongest rhythm of up to twelve hours that is not listed, to an interval; None where there is none."""
    per_minute = max(1, round(MINUTE_S / series.interval_s))
    minutes = len(series) // per_minute
    most = min(minutes // LEAST_TIMES, round(LONGEST_S / MINUTE_S))
    if most < 3 or series.interval_s > MINUTE_S:
        return None
    # Half of scipy's memory; only who learns needs it.
    from scipy.signal import find_peaks

    counts = np.diff(series.sums[len(series) - minutes * per_minute :: per_minute])
    found = _correlations(counts, most + 1)
    peaks, _ = find_peaks(found, height=LEAST_CORRELATION, prominence=LEAST_PROMINENCE)
    unlisted = _unexplained(peaks.tolist(), found)
    if not unlisted:
        return None
    highest = max(found[lag] for lag in unlisted)
    # A rhythm correlates at its multiples, too: the first of the peaks that are about as high.
    lag = next(lag for lag in unlisted if found[lag] > 0.6 * highest)
    return _refined(series, lag * per_minute, per_minute) * series.interval_s


def _correlations(counts: Floats, lags: int) -> Floats:
    """Autocorrelation at lags 0, 1, ...; shape (lags,). All 0 where nothing varies."""
    from scipy.signal import correlate

    centred = counts - counts.mean()
    size = len(centred)
    sums = correlate(centred, centred, mode="full", method="fft")[size - 1 : size - 1 + lags]
    variance = float(centred @ centred) / size
    if variance <= 0:
        return np.zeros(lags)
    return np.asarray(sums / (size - np.arange(lags)) / variance)


def _unexplained(peaks: list[int], found: Floats) -> list[int]:
    """Peaks that are neither near a listed period nor multiples of one that is."""
    listed: list[int] = []
    others: list[int] = []
    for lag in peaks:
        near = any(abs(lag * MINUTE_S - period_s) <= NEAR * period_s for period_s in PERIODS_S)
        echo = any(_is_multiple(lag, base) and found[base] > 0.8 * found[lag] for base in listed)
        (listed if near or echo else others).append(lag)
    return others


def _is_multiple(lag: int, base: int) -> bool:
    times = round(lag / base)
    return times >= 2 and abs(lag - times * base) <= max(1.0, times / 2)


def _refined(series: LoadSeries, lag: int, reach: int) -> int:
    """The best lag in intervals within a minute of this one."""
    counts = series.counts
    centred = counts - counts.mean()
    lags = range(max(lag - reach, 1), lag + reach + 1)
    return max(lags, key=lambda each: float(centred[each:] @ centred[:-each]) / (len(centred) - each))
