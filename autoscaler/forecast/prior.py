"""A forecast learned over other services, for a service that has little history of its own.

The forest that is shipped holds thresholds and, in each leaf, how often each bin of outcomes came: nothing of any
single row. Research note "algorithm", C.10. Made by `python -m simulations.prior`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import BINS, bin_of
from autoscaler.forecast.trees import Nodes, Settings, Trees, grow

Floats = npt.NDArray[np.floating]
Bytes = npt.NDArray[np.uint8]

NEAR = math.log(1.3)
"""A forest serves services whose typical lead time is within 30 % of its own."""
STEP = 0.05
"""A leaf's masses are kept as steps of 5 % below 1, in one byte; 0 is none."""
_MASSES: Floats = np.concatenate([[0.0], np.exp((np.arange(1, 256) - 255) * STEP)])


@dataclass(frozen=True, slots=True)
class Prior:
    """A forest over other services, for one length of lead.

    Attributes:
        lead_s: the typical lead time that its windows follow from.
        interval_s: length of the intervals that it was taught with.
        grown: trees over `scale_free` features, as a file holds them.
        trees: the same, to be walked.
        masses: order and hold outcomes of each leaf, in steps; shape (leaves, 2, BINS).
    """

    lead_s: float
    interval_s: float
    grown: Nodes
    trees: Trees
    masses: Bytes

    @classmethod
    def of(cls, lead_s: float, interval_s: float, grown: Nodes, masses: Bytes) -> Prior:
        """With trees as they grew."""
        return cls(lead_s, interval_s, grown, Trees.of(grown), masses)

    def serves(self, lead_s: float, interval_s: float) -> bool:
        """Whether its windows are near enough to those of a service."""
        return interval_s == self.interval_s and self.distance(lead_s) <= NEAR

    def distance(self, lead_s: float) -> float:
        """How far another typical lead time is from its own, as a logarithm."""
        return abs(math.log(lead_s / self.lead_s))

    def histograms(self, row: Floats) -> tuple[Floats, Floats]:
        """Distributions of the order and the hold outcome for one row of features; each of shape (BINS,), sum 1."""
        masses = _MASSES[self.masses[self.trees.leaves(row[None])[0]]]
        masses /= masses.sum(axis=2, keepdims=True)
        order, hold = masses.mean(axis=0)
        return order, hold


@dataclass(frozen=True, slots=True)
class Lesson:
    """Rows of many services.

    Attributes:
        features: `scale_free` ones; shape (rows, COLUMNS).
        outcomes: logarithmic ratios for the order and the hold window; shape (rows, 2).
        weights: how many moments a row stands for; shape (rows,).
    """

    features: Floats
    outcomes: Floats
    weights: Floats


def fit(lesson: Lesson, *, lead_s: float, interval_s: float, seed: int, settings: Settings) -> Prior:
    """Grow a forest over the rows of many services.

    Args:
        lesson: the rows.
        lead_s: the typical lead time that the outcomes' windows follow from.
        interval_s: length of the intervals.
        seed: of the trees' randomness.
        settings: size and shape of the trees.
    """
    weights, bins = lesson.weights, bin_of(lesson.outcomes)
    grown, nodes = grow(lesson.features, lesson.outcomes, np.sqrt(weights), seed, settings)
    number = np.cumsum(grown.is_leaf) - 1
    count = int(grown.is_leaf.sum())
    places = (number[nodes].T[:, :, None] * 2 + np.arange(2)) * BINS + bins  # (trees, rows, windows)
    shares = np.broadcast_to(weights[:, None], places.shape)
    sums = np.bincount(places.ravel(), shares.ravel(), count * 2 * BINS).reshape(count, 2, BINS).astype(float)
    masses = sums / sums.max(axis=2, keepdims=True)
    steps = np.where(masses > 0, 255 + np.round(np.log(np.maximum(masses, 1e-12)) / STEP), 0)
    return Prior.of(lead_s, interval_s, grown, np.clip(steps, 0, 255).astype(np.uint8))
