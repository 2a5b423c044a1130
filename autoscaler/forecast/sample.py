"""Which moments of a past are learned from: half of them drawn uniformly, half in proportion to the load that followed.

Misses count by the request, so busy moments must be known best; weights undo it in the leaves. Research note
"algorithm", C.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Pool:
    """Moments that are drawn from.

    Attributes:
        moments: how many there are.
        load: that followed them, in all.
        wanted: most of them to be drawn.
    """

    moments: int
    load: float
    wanted: int

    @classmethod
    def of(cls, load: Floats, wanted: int) -> Pool:
        """Of what followed each moment, at most so many are wanted."""
        return cls(len(load), float(load.sum()), wanted)

    @property
    def all_drawn(self) -> bool:
        """Whether there are no more than are wanted."""
        return self.moments <= self.wanted

    def share(self, load: npt.ArrayLike) -> Floats:
        """Of the draws, the part that falls on a moment which such a load followed; shape as `load`."""
        return np.asarray(0.5 / self.moments + 0.5 * np.asarray(load) / max(self.load, 1e-12))

    def chance(self, load: float) -> float:
        """That one more moment, which such a load followed, would be drawn."""
        return 1.0 if self.all_drawn else min(1.0, self.wanted * float(self.share(load)))


def draw(load: Floats, wanted: int, random: np.random.Generator) -> tuple[npt.NDArray[np.intp], Floats]:
    """Draw moments, and say how many each stands for.

    Args:
        load: that followed each moment; shape (moments,).
        wanted: most moments to take.
        random: where the draw comes from.

    Returns:
        Indices of the drawn moments, ascending, and their weights; shapes (drawn,).
    """
    pool = Pool.of(load, wanted)
    if pool.all_drawn:
        return np.arange(len(load)), np.ones(len(load))
    probability = pool.share(load)
    probability /= probability.sum()
    places = (np.arange(wanted) + random.random()) / wanted
    drawn = np.minimum(np.searchsorted(np.cumsum(probability), places), len(load) - 1)
    rows, times = np.unique(drawn, return_counts=True)
    return rows, times / (wanted * probability[rows])
