"""While the own history is short, a forecast learned over other services is mixed in, as far as it proves itself.

Research note "algorithm", C.10.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import OFFSET, bin_of
from autoscaler.forecast.features import Past
from autoscaler.forecast.mixture import Contest, mixed
from autoscaler.forecast.pending import Pending
from autoscaler.forecast.prior import Prior
from autoscaler.forecast.scalefree import scale_free

Floats = npt.NDArray[np.floating]
Laws = tuple[Floats, Floats]


@dataclass(slots=True)
class Borrowing:
    """The borrowed forecast and what is thought of it; updated in place.

    Attributes:
        prior: the forest over other services.
        contests: for the order and the hold window, how it stands against the own forecast.
        pending: the (borrowed, own) forecasts whose windows are not over.
    """

    prior: Prior
    contests: tuple[Contest, Contest]
    pending: Pending[tuple[Laws, Laws]] = field(default_factory=Pending)
    weight: float = 0.0
    """Of the borrowed forecast of the order window, when it was last made."""

    @classmethod
    def of(cls, prior: Prior) -> Borrowing:
        """Nothing judged yet."""
        return cls(prior, (Contest(prior.interval_s), Contest(prior.interval_s)))

    def forecast(self, present: Past, dispersion: float, own: Laws, age_s: float) -> Laws:
        """The mixture, with an own history of a given length."""
        now = np.array([len(present.series)])
        borrowed = self.prior.histograms(scale_free(present, now, np.array([dispersion]))[0])
        self.pending.note((borrowed, own))
        weights = [contest.weight(age_s) for contest in self.contests]
        self.weight = weights[0]
        return mixed(weights[0], borrowed[0], own[0]), mixed(weights[1], borrowed[1], own[1])

    def window_ended(self, ratios: tuple[float, float], loads: tuple[float, float]) -> None:
        """The windows of the oldest forecast are over.

        Args:
            ratios: what came, as logarithmic ratios to the level of then, in the order and in the hold window.
            loads: the same in busy slots.
        """
        forecasts = self.pending.oldest()
        if forecasts is None:
            return
        borrowed, own = forecasts
        for window, contest in enumerate(self.contests):
            came = int(bin_of(ratios[window]))
            contest.judge(loads[window] + OFFSET, float(borrowed[window][came]), float(own[window][came]))
