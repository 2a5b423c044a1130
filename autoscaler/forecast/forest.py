"""The learned forecast: a quantile forest whose leaves keep the outcomes that fell into them.

scikit-learn grows the trees (extremely randomised: Geurts et al. 2006; outcomes in the leaves: Meinshausen 2006);
their arrays are then walked in step, because scikit-learn's own prediction of one row takes milliseconds.
Rows, weights and settings: research note "algorithm", C.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

from autoscaler.forecast.bins import BINS, bin_of

Floats = npt.NDArray[np.floating]

MAX_ROWS = 14_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How a forest is grown."""

    trees: int = 40
    min_rows_a_leaf: int = 12
    features_a_split: float = 0.7


@dataclass(frozen=True, slots=True)
class Forest:
    """A finished model. Trees lie one behind the other in flat arrays.

    Attributes:
        roots: root node of each tree; shape (trees,).
        depth: steps from a root to the deepest leaf.
        feature, threshold: of each node; shape (nodes,).
        children: left and right child of each node, a leaf's are itself; shape (2 * nodes,).
        first: where a leaf's rows begin in `rows`, and where the next leaf's begin; shape (nodes + 1,).
        rows: training rows, leaf by leaf; shape (trees * training rows,).
        bins: outcome bins (order, hold) of each training row; shape (training rows, 2).
        weights: of each training row; shape (training rows,).
        columns: number of features that a row must have.
    """

    roots: npt.NDArray[np.int32]
    depth: int
    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    children: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]
    rows: npt.NDArray[np.uint16]
    bins: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32]
    columns: int

    def histograms(self, row: Floats) -> tuple[Floats, Floats]:
        """Distributions of the order and the hold outcome for one row of features; each of shape (BINS,), sum 1."""
        # float32, as scikit-learn compares: a value on a threshold must go the same way as in the fit.
        values = row.astype(np.float32)
        nodes = self.roots
        for _ in range(self.depth):
            right = values[self.feature[nodes]] > self.threshold[nodes]
            nodes = self.children[2 * nodes + right]
        starts, ends = self.first[nodes], self.first[nodes + 1]
        sizes = ends - starts
        # Places of all leaves' rows in one array: consecutive numbers, shifted to each leaf's start.
        before = np.cumsum(sizes) - sizes
        places = np.arange(before[-1] + sizes[-1]) + np.repeat(starts - before, sizes)
        rows = self.rows[places]
        weights = self.weights[rows].astype(float)
        in_leaf = np.add.reduceat(weights, before)
        weights /= np.repeat(in_leaf * len(self.roots), sizes)
        bins = self.bins[rows]
        order, hold = (np.bincount(bins[:, i], weights, BINS).astype(float) for i in (0, 1))
        return order, hold

    @property
    def digest(self) -> str:
        """Name of this very model, for the decision log."""
        parts = (self.feature, self.threshold, self.rows, self.bins, self.weights)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]


def fit(features: Floats, outcomes: Floats, weights: Floats, seed: int, settings: Settings | None = None) -> Forest:
    """Grow a forest.

    Args:
        features: shape (rows, features), at most 65,535 rows.
        outcomes: logarithmic ratios for the order and the hold window; shape (rows, 2).
        weights: how many moments a row stands for (one over its probability of being drawn); shape (rows,).
        seed: of the trees' randomness.
        settings: size and shape of the trees.
    """
    settings = settings or Settings()
    grown = ExtraTreesRegressor(
        n_estimators=settings.trees,
        min_samples_leaf=settings.min_rows_a_leaf,
        max_features=settings.features_a_split,
        random_state=seed,
        n_jobs=1,
    ).fit(features, outcomes, np.sqrt(weights))
    leaves = grown.apply(features)  # (rows, trees)

    offsets = np.concatenate([[0], np.cumsum([tree.tree_.node_count for tree in grown.estimators_])])
    parts = [tree.tree_ for tree in grown.estimators_]
    by_leaf = [np.argsort(leaves[:, i], kind="stable") for i in range(settings.trees)]
    sizes = [np.bincount(leaves[:, i], minlength=part.node_count) for i, part in enumerate(parts)]
    return Forest(
        roots=offsets[:-1].astype(np.int32),
        depth=max(part.max_depth for part in parts),
        feature=np.concatenate([np.maximum(part.feature, 0) for part in parts]).astype(np.int16),
        threshold=_rounded_down(np.concatenate([t.threshold for t in parts])),
        children=np.concatenate(
            [
                _children(part.children_left, part.children_right, first)
                for part, first in zip(parts, offsets, strict=False)
            ]
        ),
        first=np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int32),
        rows=np.concatenate(by_leaf).astype(np.uint16),
        bins=bin_of(outcomes).astype(np.uint8),
        weights=weights.astype(np.float32),
        columns=features.shape[1],
    )


def _children(left: npt.NDArray[np.intp], right: npt.NDArray[np.intp], first: int) -> npt.NDArray[np.int32]:
    """Left and right child of each node in turn; a leaf's are itself, so that a walk may go on there.

    `first` is where the tree's nodes begin among those of all trees.
    """
    here = np.arange(len(left))[:, None]
    pairs = np.column_stack([left, right])
    return (np.where(pairs < 0, here, pairs) + first).astype(np.int32).ravel()


def _rounded_down(thresholds: Floats) -> npt.NDArray[np.float32]:
    """float32 numbers that split float32 values as the float64 thresholds do: the next one at or below."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


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
