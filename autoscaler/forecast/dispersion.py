"""How unevenly requests arrive: variance over mean of the counts of intervals, 1 for Poisson.

Half the squared difference of successive counts over their mean, both averaged (research note "algorithm", C.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MEMORY_S = 900.0
PRIOR, PRIOR_REQUESTS = 1.5, 60.0


@dataclass(slots=True)
class Dispersion:
    """The dispersion of the arrivals of the last quarter of an hour; updated in place.

    Attributes:
        keep: what is left of a count after an interval.
        squares, means: decayed sums of half the squared differences, and of the means, of successive counts.
    """

    keep: float
    squares: float = PRIOR * PRIOR_REQUESTS
    means: float = PRIOR_REQUESTS
    _before: float | None = None

    @classmethod
    def over(cls, interval_s: float) -> Dispersion:
        """Nothing measured yet: the prior."""
        return cls(math.exp(-interval_s / MEMORY_S))

    @property
    def value(self) -> float:
        """Variance over mean."""
        return self.squares / self.means

    def add(self, requests: float) -> None:
        """One more interval."""
        if self._before is not None:
            self.squares = self.squares * self.keep + 0.5 * (requests - self._before) ** 2
            self.means = self.means * self.keep + 0.5 * (requests + self._before)
            # The prior does not fade while nothing comes: silence says nothing about dispersion.
            lacking = max(PRIOR_REQUESTS - self.means, 0.0) * (1 - self.keep)
            self.squares += PRIOR * lacking
            self.means += lacking
        self._before = requests

    def skip(self) -> None:
        """Intervals went by unmeasured: the next count has none before it."""
        self._before = None
