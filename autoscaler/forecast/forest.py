"""The learned forecast: a quantile forest whose leaves keep the outcomes that fell into them.

Outcomes in the leaves: Meinshausen 2006. Rows, weights and settings: research note "algorithm", C.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import BINS, bin_of
from autoscaler.forecast.trees import Nodes, Settings, Trees, grow

Floats = npt.NDArray[np.floating]

MAX_ROWS = 14_000


@dataclass(frozen=True, slots=True)
class Forest:
    """A finished model.

    Attributes:
        digest: name of this very model, for the decision log.
        trees: lead to a leaf of each.
        first: where a leaf's rows begin among those of its tree, 0 behind the last leaf; shape (leaves + 1,).
        rows: training rows, leaf by leaf; shape (trees * training rows,).
        bins: outcome bins (order, hold) of each training row; shape (training rows, 2).
        weights: of each training row; shape (training rows,).
        columns: number of features that a row must have.
    """

    digest: str
    trees: Trees
    first: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.uint16]
    bins: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32]
    columns: int

    def histograms(self, rows: Floats) -> tuple[Floats, Floats]:
        """Distributions of the order and the hold outcome for rows of features; each of shape (rows, BINS), sums 1."""
        leaves = self.trees.leaves(rows)
        of_row = np.repeat(np.arange(len(rows)), leaves.shape[1])
        starts, ends = self._spans(leaves)
        sizes = ends - starts
        # Places of all leaves' rows in one array: consecutive numbers, shifted to each leaf's start.
        before = np.cumsum(sizes) - sizes
        kept = self.rows[np.arange(before[-1] + sizes[-1]) + np.repeat(starts - before, sizes)]
        weights = self.weights[kept].astype(float)
        in_leaf = np.add.reduceat(weights, before)
        weights /= np.repeat(in_leaf * leaves.shape[1], sizes)
        bins = self.bins[kept] + BINS * np.repeat(of_row, sizes)[:, None]
        shape = (len(rows), BINS)
        order, hold = (np.bincount(bins[:, i], weights, len(rows) * BINS).astype(float).reshape(shape) for i in (0, 1))
        return order, hold

    def _spans(self, leaves: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where the rows of leaves, shape (rows, trees), begin and end in `rows`; shapes (rows * trees,)."""
        in_tree = len(self.bins)
        starts, ends = self.first[leaves].astype(np.int64), self.first[leaves + 1].astype(np.int64)
        ends[ends == 0] = in_tree  # the last leaf of a tree: the next begins anew
        before = np.arange(leaves.shape[1]) * in_tree
        return (starts + before).ravel(), (ends + before).ravel()


def fit(features: Floats, outcomes: Floats, weights: Floats, seed: int, settings: Settings | None = None) -> Forest:
    """Grow a forest.

    Args:
        features: shape (rows, features), at most 65,535 rows.
        outcomes: logarithmic ratios for the order and the hold window; shape (rows, 2).
        weights: how many moments a row stands for (one over its probability of being drawn); shape (rows,).
        seed: of the trees' randomness.
        settings: size and shape of the trees.
    """
    nodes, leaves = grow(features, outcomes, np.sqrt(weights), seed, settings or Settings())
    rows = np.concatenate([np.argsort(each, kind="stable").astype(np.uint16) for each in leaves.T])
    inside = np.bincount(leaves.ravel(), minlength=len(nodes.feature))[nodes.is_leaf]
    bins, kept = bin_of(outcomes).astype(np.uint8), weights.astype(np.float32)
    return Forest(
        digest=_digest(nodes, rows, bins, kept),
        trees=Trees.of(nodes),
        first=(np.concatenate([[0], np.cumsum(inside)]) % len(features)).astype(np.uint16),
        rows=rows,
        bins=bins,
        weights=kept,
        columns=features.shape[1],
    )


def _digest(nodes: Nodes, *parts: npt.NDArray[Any]) -> str:
    whole: tuple[npt.NDArray[Any], ...] = (nodes.feature, nodes.threshold, *parts)
    return hashlib.sha256(b"".join(part.tobytes() for part in whole)).hexdigest()[:16]


def draw(load: Floats, wanted: int, random: np.random.Generator) -> tuple[npt.NDArray[np.intp], Floats]:
    """Training rows, half of them uniform and half in proportion to the load, and how many each stands for.

    Misses count by the request, so busy moments must be known best; the weights undo it in the leaves.

    Args:
        load: load that followed each candidate; shape (candidates,).
        wanted: most rows to take.
        random: where the draw comes from.

    Returns:
        Indices of the drawn candidates, ascending, and their weights; shapes (drawn,).
    """
    count = len(load)
    if count <= wanted:
        return np.arange(count), np.ones(count)
    probability = 0.5 / count + 0.5 * load / max(float(load.sum()), 1e-12)
    probability /= probability.sum()
    places = (np.arange(wanted) + random.random()) / wanted
    drawn = np.minimum(np.searchsorted(np.cumsum(probability), places), count - 1)
    rows, times = np.unique(drawn, return_counts=True)
    return rows, times / (wanted * probability[rows])
