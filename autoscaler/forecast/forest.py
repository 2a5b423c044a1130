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
from autoscaler.forecast.recent import Recent
from autoscaler.forecast.trees import Nodes, Settings, Trees, grow

Floats = npt.NDArray[np.floating]

MAX_ROWS = 14_000
RECENT_SHARE = 0.5
"""Most that what came since the fit weighs in a leaf, over what the fit found in it: as much as the past may grow until
the next fit is due. A run of like moments would drown what else was known of a young service."""


ROWS_AT_ONCE = 1 << 16
"""Training rows in leaves that are looked at together: a service that idles has leaves of thousands, and what is worked
out of them shall stay in the cache."""


@dataclass(frozen=True, slots=True)
class _Inside:
    """Training rows in some leaves, leaf by leaf.

    Attributes:
        sizes: how many rows are in each leaf; shape (leaves,).
        bins: their outcomes (order, hold); shape (rows, 2).
        weights: how many moments each row stands for; shape (rows,).
        in_leaf: their sum in each leaf; shape (leaves,).
    """

    sizes: npt.NDArray[np.int64]
    bins: npt.NDArray[np.uint8]
    weights: Floats
    in_leaf: Floats


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

    def leaves(self, rows: Floats) -> npt.NDArray[np.intp]:
        """The leaf of each tree that each row of features, shape (rows, features), falls into; shape (rows, trees)."""
        return self.trees.leaves(rows)

    def histograms(self, leaves: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Distributions of the order and the hold outcome in leaves, by the fit alone.

        Args:
            leaves: of each row; shape (rows, trees).

        Returns:
            Each of shape (rows, BINS), sums 1.
        """
        if len(leaves) > 1 and self._sizes(leaves).sum() > ROWS_AT_ONCE:
            halves = [self.histograms(half) for half in np.array_split(leaves, 2)]
            order, hold = (np.concatenate(each) for each in zip(*halves, strict=True))
            return order, hold
        inside = self._inside(leaves)
        shares = inside.weights / np.repeat(inside.in_leaf * leaves.shape[1], inside.sizes)
        of_row = np.repeat(np.arange(len(leaves)), leaves.shape[1])
        bins = inside.bins + BINS * np.repeat(of_row, inside.sizes)[:, None]
        order, hold = _counted(bins, shares, len(leaves))
        return order, hold

    def histogram(self, leaves: npt.NDArray[np.intp], recent: Recent) -> tuple[Floats, Floats]:
        """The same for one row, whose leaves have the shape (trees,), with what came since the fit."""
        inside = self._inside(leaves[None])
        moments, trees = recent.beside(leaves)
        weights = recent.weights.take(moments).astype(float)
        came = np.bincount(trees, weights, len(leaves))
        counts = np.minimum(1.0, RECENT_SHARE * inside.in_leaf / np.maximum(came, 1e-9))
        whole = (inside.in_leaf + counts * came) * len(leaves)
        of_fit, since = inside.weights / np.repeat(whole, inside.sizes), weights * (counts / whole).take(trees)
        shares = np.concatenate([of_fit, since])
        order, hold = _counted(np.concatenate([inside.bins, recent.bins.take(moments, axis=0)]), shares, 1)
        return order[0], hold[0]

    def _inside(self, leaves: npt.NDArray[np.intp]) -> _Inside:
        """The training rows in leaves, shape (rows, trees)."""
        starts, ends = self._spans(leaves)
        sizes = ends - starts
        # Places of all leaves' rows in one array: consecutive numbers, shifted to each leaf's start.
        before = np.cumsum(sizes) - sizes
        kept = self.rows.take(np.arange(before[-1] + sizes[-1]) + np.repeat(starts - before, sizes))
        weights = self.weights.take(kept).astype(float)
        return _Inside(sizes, self.bins.take(kept, axis=0), weights, np.add.reduceat(weights, before))

    def _sizes(self, leaves: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Training rows in each leaf; shape (rows * trees,)."""
        starts, ends = self._spans(leaves)
        return ends - starts

    def _spans(self, leaves: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where the rows of leaves, shape (rows, trees), begin and end in `rows`; shapes (rows * trees,)."""
        in_tree = len(self.bins)
        starts, ends = self.first[leaves].astype(np.int64), self.first[leaves + 1].astype(np.int64)
        ends[ends == 0] = in_tree  # the last leaf of a tree: the next begins anew
        before = np.arange(leaves.shape[1]) * in_tree
        return (starts + before).ravel(), (ends + before).ravel()


def _counted(bins: npt.NDArray[Any], shares: Floats, rows: int) -> tuple[Floats, Floats]:
    """Order and hold outcomes by bin, each of shape (rows, BINS); a row's bins follow those of the row before."""
    order, hold = (np.bincount(bins[:, i], shares, rows * BINS).astype(float).reshape(rows, BINS) for i in (0, 1))
    return order, hold


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
