"""The load of earlier days, which changes no more: running sums in a quarter of their size, to the last bit.

Sums of whole requests are told by how much they are above the first one of a short block. Where that does not give
the very same numbers (a count that was shared between intervals, a service of 200 requests/s and more), a block's
sums are kept as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.integer]

BLOCK = 64
"""Intervals of a block: at 5 s it holds 65,535 requests, which are 204 a second."""
_NOT = -1


@dataclass(frozen=True, slots=True)
class Sealed:
    """Running sums before each of so many intervals, and whether these were measured; never changed.

    Attributes:
        first: sum before each block; shape (blocks,).
        above: how much each sum is above its block's first, 0 in blocks that are kept as they are; shape (intervals,).
        row: where in `whole` a block is, -1 where it is not; shape (blocks,).
        whole: blocks that are kept as they are; shape (such blocks, BLOCK).
        measured: a bit for each interval; shape (intervals / 8,).
    """

    first: Floats
    above: npt.NDArray[np.uint16]
    row: npt.NDArray[np.int32]
    whole: Floats
    measured: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, sums: Floats, known: Bools) -> Sealed:
        """Seal whole blocks of sums."""
        blocks = sums.reshape(-1, BLOCK)
        first = blocks[:, 0].copy()
        above = np.clip(blocks - first[:, None], 0, np.iinfo(np.uint16).max).astype(np.uint16)
        differs = (first[:, None] + above != blocks).any(axis=1)
        above[differs] = 0
        row = np.where(differs, np.cumsum(differs) - 1, _NOT).astype(np.int32)
        return cls(first, above.ravel(), row, blocks[differs], np.packbits(known))

    def __len__(self) -> int:
        return len(self.above)

    def then(self, later: Sealed) -> Sealed:
        """These and what came after."""
        row = np.where(later.row == _NOT, _NOT, later.row + len(self.whole)).astype(np.int32)
        return Sealed(
            np.concatenate([self.first, later.first]),
            np.concatenate([self.above, later.above]),
            np.concatenate([self.row, row]),
            np.concatenate([self.whole, later.whole]),
            np.concatenate([self.measured, later.measured]),
        )

    def sums(self, first: int, end: int) -> Floats:
        """Sums before the intervals in [first, end)."""
        block, last = first // BLOCK, -(-end // BLOCK)
        found = self.first[block:last, None] + self.above[block * BLOCK : last * BLOCK].reshape(-1, BLOCK)
        if len(self.whole):
            row = self.row[block:last]
            found[row != _NOT] = self.whole[row[row != _NOT]]
        return found.ravel()[first - block * BLOCK : end - block * BLOCK]

    def at(self, places: Places) -> Floats:
        """Sums before single intervals; shape as `places`."""
        block = places // BLOCK
        found = self.first.take(block) + self.above.take(places)
        if len(self.whole):
            row = self.row.take(block)
            whole = row != _NOT
            found[whole] = self.whole[row[whole], places[whole] % BLOCK]
        return found

    @property
    def known(self) -> Bools:
        """Whether each interval was measured; shape (intervals,)."""
        return np.unpackbits(self.measured).astype(np.bool_)


NOTHING = Sealed.of(np.zeros(0), np.zeros(0, dtype=np.bool_))
"""Before the first day is over."""
