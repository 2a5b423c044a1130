"""How far to trust what other services taught, against what the own past teaches.

Both forecasts are scored on what came, by the load that it brought; the borrowed one fades with the age of the own
history, to nothing after four days: a price buys every bit of mass in a tail. Research note "algorithm", C.10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

GONE_S = 4 * 86400.0
"""With a history of this length nothing is borrowed any more."""
FADE_S = 3 * 86400.0
FIRST_LOG_ODDS = math.log(9.0)
MOST_LOG_ODDS = 6.0
MEMORY_S = 6 * 3600.0
OVERLAP = 7.0
"""Windows of successive intervals overlap: so many of them tell as much as one."""
MOST_LOAD = 10.0
"""A window counts by its load over the mean load, up to this."""
LEAST_MASS = 0.001
"""An outcome that one of the two thought impossible does not end its trust at once."""
MEAN_LOAD_S = 86400.0


@dataclass(slots=True)
class Contest:
    """The two forecasts of one window, held against each other; updated in place.

    Attributes:
        interval_s: time between two windows that end.
        log_odds: of the borrowed forecast.
        load, windows: decayed sums of what windows brought, and of their number.
    """

    interval_s: float
    log_odds: float = FIRST_LOG_ODDS
    load: float = 0.0
    windows: float = 0.0

    def judge(self, load: float, borrowed: float, own: float) -> None:
        """A window ended.

        Args:
            load: what it brought, in busy slots; above 0.
            borrowed: the mass, 0 to 1, that the borrowed forecast had given to the bin of that load.
            own: the mass that the own forecast had given to it.
        """
        keep = math.exp(-self.interval_s / MEAN_LOAD_S)
        self.load = self.load * keep + load
        self.windows = self.windows * keep + 1.0
        counts = min(MOST_LOAD, load * self.windows / self.load)
        gain = math.log((borrowed + LEAST_MASS) / (own + LEAST_MASS))
        odds = self.log_odds * math.exp(-self.interval_s / MEMORY_S) + counts * gain / OVERLAP
        self.log_odds = min(max(odds, -MOST_LOG_ODDS), MOST_LOG_ODDS)

    def weight(self, age_s: float) -> float:
        """Weight of the borrowed forecast, 0 to 1, with an own history of this length."""
        if age_s >= GONE_S:
            return 0.0
        return math.exp(-age_s / FADE_S) / (1.0 + math.exp(-self.log_odds))


def mixed(weight: float, borrowed: Floats, own: Floats) -> Floats:
    """The distribution that follows; shape (BINS,), sum 1."""
    return weight * borrowed + (1.0 - weight) * own
