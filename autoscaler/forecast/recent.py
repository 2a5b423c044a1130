"""What came since a forest was grown: between two fits its leaves go on learning.

A fit is dear and seldom made; into which leaves a moment falls is known at every tick anyway. So its outcome joins
them as soon as it is known, and the next like moment is forecast with it. The splits stay: those are what a fit is for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import bin_of
from autoscaler.forecast.pending import Pending
from autoscaler.forecast.sample import Pool

Leaves = npt.NDArray[np.intp]

ROOM = 256


@dataclass(slots=True)
class Recent:
    """Moments since a forest was grown; updated in place.

    Attributes:
        pool: what the forest was grown on; of what comes the same part is kept.
        leaves: which one of each tree the moments fell into; shape (trees, room).
        bins: outcomes (order, hold) of the moments; shape (room, 2).
        weights: how many moments each stands for; shape (room,).
        pending: leaves that forecasts came from whose windows are not over; each of shape (trees,).
        count: moments that are kept.
        due: moments, in draws, that are not kept yet: the next one is when they make a whole.
    """

    pool: Pool
    leaves: npt.NDArray[np.unsignedinteger[Any]]
    bins: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32]
    pending: Pending[Leaves]
    count: int = 0
    due: float = 0.5

    @classmethod
    def of(cls, pool: Pool, trees: int, leaves: int, pending: int) -> Recent:
        """Nothing came yet.

        Args:
            pool: what the forest was grown on.
            trees: how many it has.
            leaves: how many these have, in all.
            pending: intervals whose moments' windows are not over.
        """
        return cls(
            pool,
            leaves=np.zeros((trees, ROOM), dtype=np.min_scalar_type(leaves)),
            bins=np.zeros((ROOM, 2), dtype=np.uint8),
            weights=np.zeros(ROOM, dtype=np.float32),
            pending=Pending(deque([None] * pending)),
        )

    def window_ended(self, ratios: tuple[float, float], load: float) -> None:
        """The windows of the oldest moment are over.

        Args:
            ratios: what came, as logarithmic ratios to the level of then, in the order and in the hold window.
            load: the largest in the hold window, in busy slots.
        """
        leaves = self.pending.oldest()
        if leaves is None:
            return
        chance = self.pool.chance(load)
        self.due += chance
        if self.due < 1.0:
            return
        self.due -= 1.0
        if self.count == len(self.weights):
            self._double()
        self.leaves[:, self.count], self.bins[self.count] = leaves, bin_of(ratios)
        self.weights[self.count] = 1.0 / chance
        self.count += 1

    def _double(self) -> None:
        self.leaves = np.concatenate([self.leaves, np.zeros_like(self.leaves)], axis=1)
        self.bins, self.weights = (np.concatenate([part, np.zeros_like(part)]) for part in (self.bins, self.weights))

    def beside(self, leaves: Leaves) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The kept moments that fell into leaves of one row, shape (trees,), and the trees where they did.

        As they came, of each moment tree by tree.
        """
        same = self.leaves[:, : self.count] == leaves.astype(self.leaves.dtype)[:, None]
        (places,) = same.ravel().nonzero()  # few of very many, which is told soon of a single row
        trees, moments = np.divmod(places, max(self.count, 1))
        order = moments.argsort(kind="stable")
        return moments.take(order), trees.take(order)
