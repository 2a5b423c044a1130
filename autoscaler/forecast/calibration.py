"""How good the forecasts of a window were, in figures that are kept online.

A forecast is kept as a few quantiles until its window is over; then it is held against the load that came. Sums decay,
so that a tick costs the same after a year. Three forecasts are judged side by side: the one that was used, what the
own model said, and the residual histogram, which is the least that a model must beat. Research note "algorithm", C.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import GROWTH, OFFSET

Floats = npt.NDArray[np.floating]

PROBABILITIES = (0.5, 0.9, 0.95, 0.99)
"""Quantiles that are judged. The mean of their pinball losses stands for the cost of pods bought by a forecast: a price
of misses is a quantile of the load."""
MEMORY_S = 86400.0
LEAST_LOAD = 0.01
"""Busy slots; of a service that idles all day no share of the load can be told."""
Quantiles = tuple[float, ...]
"""Loads in busy slots, one for each of `PROBABILITIES`."""
_SHARES = np.array(PROBABILITIES)
_COVERAGES = tuple(f"coverage_p{100 * probability:.0f}" for probability in PROBABILITIES)


def quantiles(histogram: Floats, level: float) -> Quantiles:
    """Loads that a forecast stays under with each of `PROBABILITIES`.

    Args:
        histogram: of the logarithmic ratio to the level; shape (BINS,).
        level: present load in busy slots.
    """
    shares = histogram.cumsum()
    growth = GROWTH.take(shares.searchsorted(_SHARES * shares[-1]), mode="clip")
    return tuple(max((level + OFFSET) * each - OFFSET, 0.0) for each in growth.tolist())


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What was said of one window, beforehand; loads in busy slots."""

    level: float
    """The load at that time."""
    used: Quantiles
    own: Quantiles
    """Of the own model, used or not."""
    residual: Quantiles
    """Of the residual histogram."""


@dataclass(slots=True)
class Calibration:
    """Decayed sums over the windows that are over; updated in place.

    Attributes:
        keep: what an interval leaves of a sum.
        windows, load: windows judged, and the loads that came.
        covered, covered_load: how often the load stayed within each quantile of the used forecast, and that load.
        used, own, residual: pinball losses, summed over the quantiles.
        error, naive: absolute errors of the used forecast's median, and of the belief that the load stays as it is.
    """

    keep: float
    windows: float = 0.0
    load: float = 0.0
    covered: tuple[float, ...] = (0.0,) * len(PROBABILITIES)
    covered_load: tuple[float, ...] = (0.0,) * len(PROBABILITIES)
    used: float = 0.0
    own: float = 0.0
    residual: float = 0.0
    error: float = 0.0
    naive: float = 0.0

    @classmethod
    def over(cls, interval_s: float) -> Calibration:
        """Nothing judged yet."""
        return cls(math.exp(-interval_s / MEMORY_S))

    def judge(self, came: float, said: Forecasts) -> tuple[float, float]:
        """A window is over, and this load came; the pinball losses of the own and of the residual forecast in it."""
        own, residual = pinball(came, said.own), pinball(came, said.residual)
        keep = self.keep
        within = [came <= quantile for quantile in said.used]
        self.windows = self.windows * keep + 1.0
        self.load = self.load * keep + came
        self.covered = tuple(old * keep + new for old, new in zip(self.covered, within, strict=True))
        self.covered_load = tuple(old * keep + came * new for old, new in zip(self.covered_load, within, strict=True))
        self.used = self.used * keep + (own if said.used is said.own else pinball(came, said.used))
        self.own = self.own * keep + own
        self.residual = self.residual * keep + residual
        self.error = self.error * keep + abs(came - said.used[0])
        self.naive = self.naive * keep + abs(came - said.level)
        return own, residual

    def figures(self) -> dict[str, float]:
        """What there is to say; nothing before the first window is over or while the service idles.

        `pinball` and `wape` are shares of the load that came (the pinball loss a mean over the quantiles). A skill is
        1 - loss / loss of the rival: `skill_naive` holds the median against "the load stays as it is", and
        `skill_residual` the quantiles of the own model against those of the residual histogram. `coverage_p90` is the
        share of windows whose load stayed within the 90 % quantile, `coverage_p90_by_load` the share of the load.
        """
        if not self.windows or self.load < LEAST_LOAD * self.windows:
            return {}
        found = {
            "pinball": self.used / self.load / len(PROBABILITIES),
            "wape": self.error / self.load,
            "skill_naive": _skill(self.error, self.naive),
            "skill_residual": _skill(self.own, self.residual),
        }
        for name, plain, by_load in list(zip(_COVERAGES, self.covered, self.covered_load, strict=True))[1:]:
            found[name] = plain / self.windows
            found[f"{name}_by_load"] = by_load / self.load
        return found


def pinball(came: float, said: Quantiles) -> float:
    """The pinball loss (Koenker and Bassett 1978), summed over `PROBABILITIES`."""
    return sum(
        (came - quantile) * (probability - (came < quantile))
        for probability, quantile in zip(PROBABILITIES, said, strict=True)
    )


def _skill(loss: float, rival: float) -> float:
    return 1 - loss / rival if rival > 0 else 0.0
