"""Which price to use: the lowest whose replayed misses, corrected by what was really missed, fit the budget.

Research note "algorithm", C.4: correction, budget, pick. Counts decay with the shadows' memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoscaler.policies.predictive.shadows import MEMORY_S, Told

Floats = npt.NDArray[np.floating]

MARGIN = 0.88
"""Share of the budget that is steered to; the rest absorbs what the replay does not see."""
WARM_UP_S = 120.0
"""What is missed in the first moments belongs to the size that was found, not to the price."""
CORRECTION_S = 1800.0
CORRECTION_LIMITS = (0.25, 4.0)
BUDGET_HORIZON_S = 86400.0
"""A debt of misses is to be repaid within a day."""
PRIOR_S = 300.0
"""So much traffic what is believed before the shadows have lived weighs."""
COMES_TRUE = (0.05, 0.4)
"""Least and most that is believed of what a forecast expects to miss: it speaks of the worst moment of a window. Over
first hours of recorded services 0.2 to 0.6 came true at most prices (docs/choices.md)."""
JUDGED_FROM = 16
"""First price, at two service times, whose shadow tells how much comes true: below, forecasts see all missed."""
SMOOTHING_S = (60.0, 1800.0)
DISAPPOINTMENT = 10.0
"""A forecast's promise of what a miss costs may be wrong by this factor before the price gives way."""


@dataclass(frozen=True, slots=True)
class PriceRule:
    """What the policy file says of the price; prices in pod-seconds a missed request."""

    budget: float
    """Share of requests that may miss, 0 to 1."""
    start: float
    least: float
    most: float
    correction: float
    """Measured over replayed misses, before anything was measured."""


@dataclass(slots=True)
class Steering:
    """The price and what it is judged by; updated in place.

    Attributes:
        price: in use now.
        measured: decayed misses that really happened.
        replayed: decayed misses that the shadows had at the prices in use.
        counted: decayed requests over the same time.
        requests, seconds: decayed, history included: the mean rate.
    """

    price: float
    measured: float = 0.0
    replayed: float = 0.0
    counted: float = 0.0
    requests: float = 0.0
    seconds: float = 0.0
    age_s: float = 0.0
    why: str = "where it begins"
    """What the price goes to, in words."""

    @property
    def mean_rps(self) -> float:
        """Requests a second, over history and run."""
        return self.requests / max(self.seconds, 60.0)

    def said(self) -> str:
        """The price, and why it is what it is."""
        return f"{self.price:.2f} pod-s a miss ({self.why})"

    def saw(self, requests: float, span_s: float) -> None:
        """Traffic went by, of the history or of the run."""
        keep = math.exp(-span_s / MEMORY_S)
        self.requests = self.requests * keep + requests
        self.seconds = self.seconds * keep + span_s

    def judged(self, requests: float, measured: float, replayed: float, span_s: float) -> None:
        """What an interval of the run brought, measured and in the shadow at the price in use."""
        self.age_s += span_s
        if self.age_s <= WARM_UP_S:
            return
        keep = math.exp(-span_s / MEMORY_S)
        self.counted = self.counted * keep + requests
        self.measured = self.measured * keep + measured
        self.replayed = self.replayed * keep + replayed

    def correction(self, rule: PriceRule) -> float:
        """Measured misses over replayed ones."""
        weight = 0.01 * CORRECTION_S * self.mean_rps
        ratio = (self.measured + rule.correction * weight) / max(self.replayed + weight, 1e-9)
        return min(max(ratio, CORRECTION_LIMITS[0]), CORRECTION_LIMITS[1])

    def allowance(self, rule: PriceRule) -> float:
        """Share of requests that may miss from now on: the budget, and what was saved or overdrawn of it."""
        aim = MARGIN * rule.budget
        saved = (aim * self.counted - self.measured) / max(self.mean_rps * BUDGET_HORIZON_S, 1e-9)
        return min(max(aim + saved, 0.5 * aim), 2.0 * aim)

    def pick(self, told: Told, rule: PriceRule) -> float:
        """The lowest price that fits the allowance, but none that has bought misses for more than they may cost.

        A price says what a miss may cost by the forecast. Where spikes cannot be foreseen, a dearer shadow pays much
        and saves little, and the allowance is out of reach: there the cheapest shadow rules when each of its misses,
        as they came, is charged the most that one may cost.

        Before the shadows have lived, what the forecasts promise stands in for what they would miss: traffic that
        comes in bursts is dear from the first minute, and calm traffic is not.
        """
        weight = PRIOR_S * self.mean_rps
        expected = self.correction(rule) * told.misses + weight * comes_true(told, weight) * told.promised
        allowed = self.allowance(rule)
        fitting = lowest(told.prices, expected / max(told.requests + weight, 1e-9), allowed)
        worth = float(told.prices[(told.spent + DISAPPOINTMENT * rule.most * expected).argmin()])
        picked = min(max(min(fitting, worth), rule.least), rule.most)
        self.why = _why(picked, fitting, rule, allowed)
        return picked

    def steer(self, picked: float, data_s: float, interval_s: float) -> None:
        """Move the price towards the picked one, slowly once there is much data."""
        memory_s = min(SMOOTHING_S[1], SMOOTHING_S[0] + 0.1 * data_s)
        self.price *= (picked / self.price) ** min(1.0, interval_s / memory_s)


def _why(picked: float, fitting: float, rule: PriceRule, allowed: float) -> str:
    if rule.least == rule.most:
        return "as the policy file has it"
    if picked == rule.most:
        return "the most that may be paid"
    if picked == rule.least:
        return "the least there is"
    return f"what keeps the misses within {allowed:.2%}" if picked == fitting else "more has not paid so far"


def comes_true(told: Told, weight: float) -> float:
    """How much of the forecasts' promise came true so far; the most that is believed, where little was lived.

    Cheap shadows miss often and tell it soon, long before a dear one has met its first burst.

    Args:
        told: of each price.
        weight: requests that the belief weighs.
    """
    least, most = COMES_TRUE
    promised, lived = float(told.promised[JUDGED_FROM:].sum()), float(told.misses[JUDGED_FROM:].sum())
    found = (lived + most * weight * promised) / max(promised * (told.requests + weight), 1e-9)
    return min(max(found, least), most)


def lowest(prices: Floats, shares: Floats, allowed: float) -> float:
    """The lowest price whose share is allowed, between two prices by the logarithm; the highest where none is."""
    fits = shares <= allowed
    first = int(fits.argmax())
    if first == 0:
        return float(prices[0 if fits[0] else -1])
    above, below = math.log(max(shares[first - 1], 1e-12)), math.log(max(shares[first], 1e-12))
    part = (above - math.log(allowed)) / max(above - below, 1e-12)
    return float(prices[first - 1] * (prices[first] / prices[first - 1]) ** min(max(part, 0.0), 1.0))
