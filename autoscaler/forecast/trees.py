"""Grown trees as flat arrays, walked in step: scikit-learn's own prediction of one row takes milliseconds.

scikit-learn grows them (extremely randomised: Geurts et al. 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Settings:
    """How trees are grown."""

    trees: int = 40
    min_rows_a_leaf: int = 12
    features_a_split: float = 0.7


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees, one behind the other.

    Attributes:
        roots: root node of each tree; shape (trees,).
        depth: steps from a root to the deepest leaf.
        feature, threshold: of each node; shape (nodes,).
        children: left and right child of each node, a leaf's are itself; shape (2 * nodes,).
    """

    roots: npt.NDArray[np.int32]
    depth: int
    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    children: npt.NDArray[np.int32]

    def leaves(self, rows: Floats) -> npt.NDArray[np.int32]:
        """The leaf of each tree that each row of features, shape (rows, features), falls into; shape (rows, trees)."""
        # float32, as scikit-learn compares: a value on a threshold must go the same way as in the fit.
        values = rows.astype(np.float32).ravel()
        line = (np.arange(len(rows), dtype=np.int32) * rows.shape[1])[:, None]
        nodes = np.tile(self.roots, (len(rows), 1))
        for step in range(self.depth):
            right = values.take(line + self.feature.take(nodes)) > self.threshold.take(nodes)
            below = self.children.take(2 * nodes + right)
            # Seldom does a row go as deep as the deepest leaf; asking costs as much as half a step.
            if step % 4 == 3 and (below == nodes).all():
                break
            nodes = below
        return nodes


def grow(
    features: Floats, outcomes: Floats, weights: Floats, seed: int, settings: Settings
) -> tuple[Trees, npt.NDArray[np.intp]]:
    """Grow trees on outcomes.

    Args:
        features: shape (rows, features).
        outcomes: shape (rows, outcomes).
        weights: of the rows in the search for splits; shape (rows,).
        seed: of the randomness.
        settings: size and shape of the trees.

    Returns:
        The trees, and the leaf that each row lies in, numbered as the nodes are; shape (rows, trees).
    """
    grown = ExtraTreesRegressor(
        n_estimators=settings.trees,
        min_samples_leaf=settings.min_rows_a_leaf,
        max_features=settings.features_a_split,
        random_state=seed,
        n_jobs=1,
    ).fit(features, outcomes, weights)
    parts = [tree.tree_ for tree in grown.estimators_]
    roots = np.concatenate([[0], np.cumsum([part.node_count for part in parts])[:-1]])
    trees = Trees(
        roots=roots.astype(np.int32),
        depth=max(part.max_depth for part in parts),
        feature=np.concatenate([np.maximum(part.feature, 0) for part in parts]).astype(np.int16),
        threshold=_rounded_down(np.concatenate([part.threshold for part in parts])),
        children=np.concatenate(
            [_children(part.children_left, part.children_right, root) for part, root in zip(parts, roots, strict=True)]
        ),
    )
    return trees, grown.apply(features) + roots


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
