"""The forecast of last resort: how far the load was off its present level in the last hour.

Used before a model can be fitted, and wherever the model does not earn its place (research note "algorithm", C.2).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import BINS, CENTRES, REACH, WIDTH

Floats = npt.NDArray[np.floating]

MEMORY_S = 3600.0
PRIOR_MEAN, PRIOR_SPREAD, PRIOR_SAMPLES = 0.15, 0.45, 24.0
"""What is believed of a service that nothing is known of: it may well double."""


class Residuals:
    """A decayed histogram of logarithmic ratios. It is updated in place."""

    __slots__ = ("_histogram", "_keep")

    def __init__(self, interval_s: float) -> None:
        density = np.exp(-0.5 * ((CENTRES - PRIOR_MEAN) / PRIOR_SPREAD) ** 2)
        self._histogram: Floats = PRIOR_SAMPLES * density / density.sum()
        self._keep = math.exp(-interval_s / MEMORY_S)

    @classmethod
    def of(cls, interval_s: float, counts: npt.ArrayLike) -> Residuals:
        """With decayed counts that were kept; shape (BINS,)."""
        residuals = cls(interval_s)
        residuals._histogram = np.array(counts, dtype=float)
        return residuals

    @property
    def counts(self) -> Floats:
        """Decayed counts of outcomes, the prior's share with them; shape (BINS,)."""
        return self._histogram.copy()

    def add(self, ratio: float) -> None:
        """One more outcome, one interval later."""
        self._histogram *= self._keep
        self._histogram[min(max(int((ratio + REACH) / WIDTH), 0), BINS - 1)] += 1.0

    @property
    def histogram(self) -> Floats:
        """The distribution; shape (BINS,), sum 1."""
        return np.asarray(self._histogram / self._histogram.sum())
