"""What was not measured is guessed, never counted as silence: as a week before, else as a day before.

A guess keeps levels, peaks and the same time earlier in their place (a seasonal naive imputation); nobody learns from
it, because every interval and bin carries whether it was measured.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.series import LoadSeries
from autoscaler.model import History

Floats = npt.NDArray[np.floating]

EARLIER_S = (7 * 86400.0, 86400.0)


def mended(history: History) -> Floats:
    """Counts of a history, with those of unmeasured bins guessed; shape (bins,).

    Where there is no week or day before, the last measured count goes on; before the first, it counts back.
    """
    counts = history.counts.astype(float)
    if history.known is None or history.known.all() or not history.known.any():
        return counts
    edges = np.flatnonzero(np.diff(np.concatenate([[True], history.known, [True]])))
    for first, end in pairwise(edges.tolist()):
        if not history.known[first]:
            otherwise = counts[first - 1] if first else counts[end]
            _as_before(counts, first, end, history.bin_s, otherwise)
    return counts


def expected(series: LoadSeries, intervals: int, otherwise: float) -> Floats:
    """Requests in each of the unmeasured intervals after a series, `otherwise` where nothing tells; shape (intervals,).

    Of a time longer than the series keeps, only the end is told.
    """
    known = series.counts
    counts = np.concatenate([known, np.empty(intervals)])
    _as_before(counts, len(known), len(counts), series.interval_s, otherwise)
    return counts[len(known) :]


def _as_before(counts: Floats, first: int, end: int, interval_s: float, otherwise: float) -> None:
    """Fill `counts[first:end]` in place from what stands before, guesses included."""
    lags = [lag for span_s in EARLIER_S if 0 < (lag := round(span_s / interval_s)) <= first]
    if not lags:
        counts[first:end] = otherwise
        return
    lag = lags[0]
    for start in range(first, end, lag):
        stop = min(start + lag, end)
        counts[start:stop] = counts[start - lag : stop - lag]
