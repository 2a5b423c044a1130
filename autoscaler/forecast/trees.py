"""Grown trees as flat arrays: scikit-learn's own prediction of one row takes milliseconds.

scikit-learn grows them (extremely randomised: Geurts et al. 2006). A hundred targets keep 40 trees each, so what is
kept is narrow: numbers of nodes count within a tree, and what leaves do not have is not stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Settings:
    """How trees are grown."""

    trees: int = 40
    min_rows_a_leaf: int = 12
    features_a_split: float = 0.7


@dataclass(frozen=True, slots=True)
class Nodes:
    """Trees as they grew, one behind the other; nodes are numbered through.

    Attributes:
        roots: where each tree's nodes begin, with its root; ascending from 0; shape (trees,).
        depth: steps from a root to the deepest leaf.
        feature, threshold: of each node; shape (nodes,).
        children: left and right child of each node, a leaf's are itself; shape (2 * nodes,).
    """

    roots: npt.NDArray[np.int32]
    depth: int
    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    children: npt.NDArray[np.int32]

    @property
    def is_leaf(self) -> npt.NDArray[np.bool_]:
        """Shape (nodes,)."""
        return np.asarray(self.children[::2] == np.arange(len(self.feature)))


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees to be walked. All that split come first, by the feature that they look at, then the leaves as they grew.

    Attributes:
        depth: steps from a root to the deepest leaf.
        leaf_count: how many leaves there are.
        roots: the first node of each tree; shape (trees,).
        of_feature: how many nodes split by each feature; shape (features,).
        threshold: of each node that splits; shape (splits,).
        left, apart: its left child, and how much further the right one is; shape (splits,).
    """

    depth: int
    leaf_count: int
    roots: npt.NDArray[np.intp]
    of_feature: npt.NDArray[np.intp]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int32]
    apart: npt.NDArray[np.int32]

    @classmethod
    def of(cls, grown: Nodes) -> Trees:
        """The same trees, narrow."""
        is_leaf = grown.is_leaf
        splits = np.flatnonzero(~is_leaf)
        splits = splits[np.argsort(grown.feature[splits], kind="stable")]
        number = np.empty(len(is_leaf), dtype=np.int32)
        number[splits] = np.arange(len(splits))
        number[is_leaf] = np.arange(len(splits), len(is_leaf))
        children = number[grown.children.reshape(-1, 2)[splits]]
        return cls(
            depth=grown.depth,
            leaf_count=len(is_leaf) - len(splits),
            roots=number[grown.roots].astype(np.intp),
            of_feature=np.bincount(grown.feature[splits]).astype(np.intp),
            threshold=grown.threshold[splits],
            left=children[:, 0].copy(),
            apart=children[:, 1] - children[:, 0],
        )

    def leaves(self, rows: Floats) -> npt.NDArray[np.intp]:
        """The leaf of each tree that each row of features, shape (rows, features), falls into; shape (rows, trees)."""
        # float32, as scikit-learn compares: a value on a threshold must go the same way as in the fit.
        values = rows.astype(np.float32, copy=False)
        return self._leaves_of_one(values[0])[None] if len(rows) == 1 else self._leaves_of_many(values)

    def _leaves_of_one(self, row: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """Of all nodes at once it is seen where they lead, in order of memory: then a step is a look-up."""
        splits = len(self.threshold)
        right = np.repeat(row[: len(self.of_feature)], self.of_feature) > self.threshold
        below = np.empty(splits + self.leaf_count, dtype=np.int32)
        np.multiply(self.apart, right, out=below[:splits])
        below[:splits] += self.left
        below[splits:] = np.arange(splits, len(below))  # a leaf leads to itself
        at: npt.NDArray[np.signedinteger[Any]] = self.roots
        for step in range(self.depth):
            at = below.take(at)
            # Seldom does a row go as deep as the deepest leaf; asking costs as much as a step.
            if step % 4 == 3 and at.min() >= splits:
                break
        return at.astype(np.intp) - splits

    def _leaves_of_many(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """The rows go in step, each through the nodes on its way alone."""
        splits = len(self.threshold)
        feature = np.repeat(np.arange(len(self.of_feature)), self.of_feature)
        line = (np.arange(len(values)) * values.shape[1])[:, None]
        at = np.tile(self.roots, (len(values), 1))
        for step in range(self.depth):
            # A leaf reads the last split, which is of no consequence: it stays where it is.
            right = values.take(line + feature.take(at, mode="clip")) > self.threshold.take(at, mode="clip")
            below = self.left.take(at, mode="clip") + self.apart.take(at, mode="clip") * right
            at = np.where(at < splits, below, at)
            if step % 4 == 3 and at.min() >= splits:
                break
        return at - splits


def grow(
    features: Floats, outcomes: Floats, weights: Floats, seed: int, settings: Settings
) -> tuple[Nodes, npt.NDArray[np.int32]]:
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
    # A process that walks trees does without scikit-learn's sixty megabytes.
    from sklearn.ensemble import ExtraTreesRegressor

    grown = ExtraTreesRegressor(
        n_estimators=settings.trees,
        min_samples_leaf=settings.min_rows_a_leaf,
        max_features=settings.features_a_split,
        random_state=seed,
        n_jobs=1,
    ).fit(features, outcomes, weights)
    parts = [tree.tree_ for tree in grown.estimators_]
    roots = np.concatenate([[0], np.cumsum([part.node_count for part in parts])[:-1]])
    nodes = Nodes(
        roots=roots.astype(np.int32),
        depth=max(part.max_depth for part in parts),
        feature=np.concatenate([np.maximum(part.feature, 0) for part in parts]).astype(np.int16),
        threshold=_rounded_down(np.concatenate([part.threshold for part in parts])),
        children=np.concatenate(
            [_children(part.children_left, part.children_right, root) for part, root in zip(parts, roots, strict=True)]
        ),
    )
    rows = features.astype(np.float32, copy=False)
    return nodes, np.column_stack(
        [(tree.apply(rows) + root).astype(np.int32) for tree, root in zip(parts, roots, strict=True)]
    )


def _children(left: npt.NDArray[np.intp], right: npt.NDArray[np.intp], first: int) -> npt.NDArray[np.int32]:
    """Left and right child of each node in turn; a leaf's are itself, so that a walk may go on there.

    `first` is where the tree's nodes begin among those of all trees.
    """
    here = np.arange(len(left))[:, None]
    pairs = np.column_stack([left, right])
    return (np.where(pairs < 0, here, pairs) + first).astype(np.int32).ravel()


def _narrow(numbers: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The same numbers, none below 0, in as few bytes as hold the largest."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def _rounded_down(thresholds: Floats) -> npt.NDArray[np.float32]:
    """float32 numbers that split float32 values as the float64 thresholds do: the next one at or below."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
