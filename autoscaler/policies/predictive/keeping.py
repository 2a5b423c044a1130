"""When pods come and when they go: growth at once, and no pod dropped before keeping it has cost what a start costs.

Whether to keep a pod that is not wanted now is the question of the ski rental: nobody knows when it will be wanted
again. Dropping it when the loss of keeping it has reached the price of a start never costs more than twice what
knowing would (Karlin, Manasse, Rudolph, Sleator 1988). The loss is counted by pod: one that is nearly worth its cost
is kept for long, one that nothing needs goes soon, and a load that breathes about a level starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Wants:
    """What is worth its cost, for one or several prices.

    Attributes:
        order: pods worth ordering; shape (prices,).
        hold: pods worth keeping, at least as many; shape (prices,).
        promised_rps: requests a second that the forecast expects to miss with the pods worth ordering; shape (prices,).
        loss: of each further pod, the part of its time that is thrown away, 0 to 1; shape (prices, pods).
    """

    order: Ints
    hold: Ints
    promised_rps: Floats
    loss: Floats

    def only(self, rows: slice) -> Wants:
        """Those of some prices."""
        return Wants(self.order[rows], self.hold[rows], self.promised_rps[rows], self.loss[rows])

    def with_backlog(self, pods: Ints, max_pods: int) -> Wants:
        """At least so many pods as drain what waits; shape (prices,)."""
        order = np.minimum(np.maximum(self.order, pods), max_pods)
        return Wants(order, np.maximum(self.hold, order), self.promised_rps, self.loss)


@dataclass(slots=True)
class Keeping:
    """The number of pods of one or several services that follow the same rule; updated in place.

    Attributes:
        target: pods of each service; shape (services,).
        regret: pod-seconds that each pod has cost in vain since it was last wanted; shape (services, pods).
    """

    target: Ints
    regret: Floats

    @classmethod
    def begin(cls, services: int, pods: int, max_pods: int) -> Keeping:
        """All services with the same number of pods, nothing regretted."""
        return cls(np.full(services, pods, dtype=np.int64), np.zeros((services, max_pods)))

    def follow(self, wants: Wants, start_price_s: float, span_s: float) -> Ints:
        """The targets after some time.

        Args:
            wants: of each service.
            start_price_s: what a start costs beyond its cold start, pod-seconds.
            span_s: time since the last call.
        """
        first, number = _first_pods(self.regret.shape[1])
        here, wanted = (first.take(pods, axis=0, mode="clip") for pods in (self.target, wants.hold))
        unwanted = here & ~wanted
        regret = span_s * wants.loss
        regret += self.regret
        regret *= unwanted
        kept = (number * (unwanted & (regret < start_price_s))).max(axis=1)
        self.regret = regret
        self.target = np.maximum(np.maximum(wants.order, np.minimum(self.target, wants.hold)), kept)
        return self.target


@lru_cache(maxsize=64)
def _first_pods(max_pods: int) -> tuple[Bools, npt.NDArray[np.integer[Any]]]:
    """Row n marks the first n pods, shape (max_pods + 1, max_pods); and each pod's number. Not to be written to."""
    numbers = np.arange(1, max_pods + 1).astype(np.min_scalar_type(max_pods))
    return np.tri(max_pods + 1, max_pods, -1, dtype=np.bool_), numbers
