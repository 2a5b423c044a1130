"""The own model is used only while it works and while it is worth it; else the residual histogram takes its place.

Worth is the pinball loss of the order window's quantiles: pods are bought by a quantile of the load, so the loss is
what a forecast costs, in pods, without a second set of shadows. Research note "algorithm", C.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.calibration import Calibration, Forecasts, Quantiles, quantiles
from autoscaler.forecast.pending import Pending

Floats = npt.NDArray[np.floating]
Laws = tuple[Floats, Floats]

MEMORY_S = 3 * 3600.0
FALLS_AT, RETURNS_AT = 1.25, 1.0
"""Loss of the model over that of the residual histogram at which it is left, and at which it is used again."""


@dataclass(slots=True)
class Trust:
    """What is thought of the own model; updated in place.

    Attributes:
        calibration: figures of the forecasts.
        keep: what an interval leaves of the two losses.
        own, residual: decayed losses of the model and of the residual histogram.
        left: the model is not used, because it loses more.
        failure: what the forecaster raised at this tick; empty if nothing.
        pending: forecasts whose windows are not over.
    """

    calibration: Calibration
    keep: float
    own: float = 0.0
    residual: float = 0.0
    left: bool = False
    failure: str = ""
    pending: Pending[Forecasts] = field(default_factory=Pending)

    @classmethod
    def over(cls, interval_s: float) -> Trust:
        """Nothing judged yet."""
        return cls(Calibration.over(interval_s), math.exp(-interval_s / MEMORY_S))

    def attempt(self, forecaster: Callable[[], Laws]) -> Laws | None:
        """What a forecaster says; None if it raises or says what is no distribution."""
        try:
            laws = forecaster()
            if not all(law.min() >= 0.0 and abs(law.sum() - 1.0) < 1e-6 for law in laws):
                raise ValueError("a forecast that is no distribution")  # noqa: TRY301 — the same end as any failure
        except Exception as error:  # noqa: BLE001 — whatever a model does, the tick goes on without it
            self.failure = f"{type(error).__name__}: {error}"
            return None
        return laws

    def noted(self, level: float, used: Floats, own: Floats, residual: Floats) -> Quantiles:
        """Keep what was said of the order window, until it is over; the quantiles of what is used."""
        rival = quantiles(residual, level)
        model = rival if own is residual else quantiles(own, level)
        within = model if used is own else quantiles(used, level)
        self.pending.note(Forecasts(level, within, model, rival))
        return within

    def window_ended(self, came: float) -> None:
        """The order window of the oldest forecast is over; this load came, in busy slots."""
        said = self.pending.oldest()
        if said is None:
            return
        own, residual = self.calibration.judge(came, said)
        self.own = self.own * self.keep + own
        self.residual = self.residual * self.keep + residual
        self.left = self.own > self.residual * (RETURNS_AT if self.left else FALLS_AT)

    def said(self) -> str:
        """Why the own model is not used; empty if it is."""
        if self.failure:
            return f"; the forecaster failed ({self.failure}): the last hour's errors stand in for it"
        if self.left:
            share = self.own / max(self.residual, 1e-9) - 1
            return f"; the model's forecasts cost {share:.0%} more than the last hour's errors, which stand in for it"
        return ""
