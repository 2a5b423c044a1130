"""The grid on which loads are forecast: the logarithm of the load to come over the present one.

Research note "algorithm", C.2: u = ln((Z + 0.3) / (P + 0.3)), with Z the largest 15 s mean of the window and P the
present level, both in busy slots; 0.3 keeps the ratio finite when the service idles.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

OFFSET = 0.3
"""Busy slots added on both sides of the ratio."""
BINS = 230
REACH = 4.6
"""The grid spans e^-4.6 to e^4.6, 1 % to 100 times the present level."""
WIDTH = 2 * REACH / BINS
CENTRES: Floats = (np.arange(BINS) + 0.5) * WIDTH - REACH
GROWTH: Floats = np.exp(CENTRES)


def bin_of(ratio: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Bins of logarithmic ratios; what lies beyond the grid falls into its ends."""
    return np.clip(((np.asarray(ratio) + REACH) / WIDTH).astype(np.intp), 0, BINS - 1)


def log_ratio(load: npt.ArrayLike, level: npt.ArrayLike) -> Floats:
    """ln((load + 0.3) / (level + 0.3)), elementwise."""
    return np.asarray(np.log((np.asarray(load, dtype=float) + OFFSET) / (np.asarray(level, dtype=float) + OFFSET)))


def loads(level: float) -> Floats:
    """The load at the centre of each bin, at least 0; shape (BINS,)."""
    return np.asarray(np.maximum((level + OFFSET) * GROWTH - OFFSET, 0.0))
