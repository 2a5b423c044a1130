"""Features that mean the same for every service: no clock, no period, loads only as ratios to the present level.

Two of them tell how noisy the ratios are: the level itself, and the dispersion of arrivals. Research note
"algorithm", C.10.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import OFFSET, log_ratio
from autoscaler.forecast.features import Extreme, Past, Rows, extremes

Floats = npt.NDArray[np.floating]

MEANS_S = (5.0, 10.0, 30.0, 120.0, 300.0, 900.0, 3600.0)
PEAKS_S = (60.0, 300.0, 900.0, 3600.0)
LOWS_S = (60.0, 300.0, 1800.0)
COLUMNS = len(MEANS_S) + len(PEAKS_S) + len(LOWS_S) + 4


def scale_free(past: Past, rows: Rows, dispersion: Floats) -> Floats:
    """One line of features for each row; shape (rows, COLUMNS).

    Args:
        past: everything before the rows.
        rows: indices of the first interval that is not known yet.
        dispersion: of the arrivals before each row; shape (rows,).
    """
    here, level = rows[:, None], past.level[:, None]
    first = here - _intervals(MEANS_S, past.series.interval_s)
    wanted = [Extreme(0, int(span), np.maximum) for span in _intervals(PEAKS_S, past.series.interval_s)]
    wanted += [Extreme(0, int(span), np.minimum) for span in _intervals(LOWS_S, past.series.interval_s)]
    peaks = extremes(past.series, here, wanted)
    return np.hstack(
        [
            log_ratio(past.mean(first, np.broadcast_to(here, first.shape)), level),
            log_ratio(peaks * past.slots_per_request, level),
            log_ratio(past.level, past.daily)[:, None],
            np.log1p(past.silence_s)[:, None],
            np.log(level + OFFSET),
            np.log(dispersion + 0.1)[:, None],
        ]
    )


def _intervals(spans_s: tuple[float, ...], interval_s: float) -> Rows:
    return np.maximum(1, np.round(np.array(spans_s) / interval_s)).astype(np.intp)
