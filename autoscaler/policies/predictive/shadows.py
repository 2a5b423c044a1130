"""Sixty-four shadow services, each at its own price, replayed on the real traffic as it comes.

Each shadow follows the policy's own rule with its price; a fluid model says what it would have missed. The lowest
price whose misses fit the budget is the one to use: tuning in hindsight, done online. Research note "algorithm", C.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from autoscaler.capacity.missed import ServiceLaw, Table
from autoscaler.policies.predictive.keeping import Keeping, Wants
from autoscaler.policies.predictive.price import Backlog, Outlook, backlog_pods, log_grid

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

PRICES = 64
CHEAPEST, DEAREST = 0.28, 670.0
"""Ends of the grid in service times: below one service time no pod pays."""
MEMORY_S = 72 * 3600.0
PATIENCE_S = 30.0
"""Longest wait that the fluid model lets build up, or twice what the objective leaves for waiting."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of each price.

    Attributes:
        prices: ascending, pod-seconds a miss; shape (prices,).
        promised: share of the requests that forecasts expected to miss; shape (prices,).
        misses: decayed misses of the price's shadow; shape (prices,).
        spent: decayed pod-seconds of the price's shadow; shape (prices,).
        requests: decayed requests of the shadows.
    """

    prices: Floats
    promised: Floats
    misses: Floats
    spent: Floats
    requests: float

    def foretold(self) -> Told:
        """What forecasts promised, and nothing of what was lived."""
        nothing = np.zeros(len(self.prices))
        return Told(self.prices, self.promised, nothing, nothing, 0.0)


@dataclass(slots=True)
class Shadows:
    """State of all shadows; updated in place.

    Attributes:
        keeping: pods that each shadow wants.
        ordered: the last targets, oldest first; the least of them serves. Shape (served_from + 1, PRICES).
        waiting: work in each shadow's queue, slot-seconds.
        misses: decayed misses of each shadow.
        spent: decayed pod-seconds of each shadow.
        promised: decayed misses that the forecasts expected of each price.
        foreseen: decayed requests since the first of these forecasts.
        requests: decayed requests, the same for all.
    """

    keeping: Keeping
    ordered: Ints
    waiting: Floats
    misses: Floats
    spent: Floats
    promised: Floats
    foreseen: float = 0.0
    requests: float = 0.0
    load: float = 0.0
    """Mean load of the last three intervals when `advance` was last called."""

    @classmethod
    def begin(cls, pods: int, served_from: int, max_pods: int) -> Shadows:
        """All shadows with the pods that are there."""
        return cls(
            keeping=Keeping.begin(PRICES, pods, max_pods),
            ordered=np.full((served_from + 1, PRICES), pods, dtype=np.int64),
            waiting=np.zeros(PRICES),
            misses=np.zeros(PRICES),
            spent=np.zeros(PRICES),
            promised=np.zeros(PRICES),
        )

    def reach(self, served_from: int) -> None:
        """Starts take another time now: pods that are ordered serve `served_from` intervals later."""
        rows = served_from + 1
        missing = max(rows - len(self.ordered), 0)
        self.ordered = np.concatenate([np.repeat(self.ordered[:1], missing, axis=0), self.ordered[-rows:]])

    def told(self, prices: Floats) -> Told | None:
        """What they tell of their prices; None before the first request was foreseen."""
        if not self.foreseen:
            return None
        return Told(prices, self.promised / self.foreseen, self.misses, self.spent, self.requests)

    def clear(self) -> None:
        """Forget misses, pod-seconds and requests; the pods stay, and what forecasts promised."""
        self.misses[:] = 0.0
        self.spent[:] = 0.0
        self.requests = 0.0

    def advance(self, load: float, smooth: float, interval_s: float, law: ServiceLaw, table: Table) -> Floats:
        """One finished interval of traffic; returns what each shadow missed in it.

        Args:
            load: of the interval, in busy slots.
            smooth: mean of the last three intervals.
            interval_s: its length.
            law: the service.
            table: missed shares at the arrivals' dispersion.
        """
        pods = self.ordered.min(axis=0)
        slots = pods * law.carried
        before = self.waiting
        longest_s = max(PATIENCE_S, 2.0 * law.wait_s)
        after = np.minimum(np.maximum(before + interval_s * (load - slots), 0.0), longest_s * slots)
        late = _share_above(before, after, law.wait_s * slots)
        usual = np.where(pods > 0, table.at(smooth).take(pods - 1, mode="clip"), 1.0)
        requests = interval_s * load / law.mean_s
        missed = requests * np.maximum(late, usual)

        keep = math.exp(-interval_s / MEMORY_S)
        self.misses = self.misses * keep + missed
        self.spent = self.spent * keep + interval_s * self.keeping.target
        self.requests = self.requests * keep + requests
        self.promised *= keep
        self.foreseen = self.foreseen * keep + requests
        self.waiting = after
        self.load = smooth
        return missed

    def backlog(self, rule: Backlog, law: ServiceLaw, ahead: Outlook) -> Ints:
        """Pods that drain each shadow's queue in time; shape (PRICES,)."""
        slots = self.ordered.min(axis=0) * law.carried
        load = np.full(PRICES, self.load)
        return backlog_pods(load, self.waiting, slots, rule, ahead, slots_per_pod=law.carried)

    def follow(self, wants: Wants, start_price_s: float, span_s: float) -> None:
        """Each shadow's next target, by the policy's own rule; `Keeping.follow` has the arguments."""
        self.promised += span_s * wants.promised_rps
        target = self.keeping.follow(wants, start_price_s, span_s)
        self.ordered = np.concatenate([self.ordered[1:], target[None]])


@lru_cache(maxsize=64)
def grid(mean_s: float) -> Floats:
    """The shadows' prices in pod-seconds a miss; shape (PRICES,), not to be written to."""
    prices = log_grid(CHEAPEST * mean_s, DEAREST * mean_s, PRICES)
    prices.setflags(write=False)
    return prices


@lru_cache(maxsize=64)
def log_prices(mean_s: float) -> Floats:
    """Their logarithms; shape (PRICES,), not to be written to."""
    logs = np.asarray(np.log(grid(mean_s)))
    logs.setflags(write=False)
    return logs


def _share_above(before: Floats, after: Floats, limit: Floats) -> Floats:
    """Share of an interval in which work that goes in a line from `before` to `after` is above `limit`."""
    high = np.maximum(before, after)
    span = high - np.minimum(before, after)
    moves = span > 0
    share = np.divide(high - limit, span, out=(after > limit).astype(float), where=moves)
    return np.asarray(np.minimum(np.maximum(share, 0.0, out=share), 1.0, out=share))
