"""Grown trees as flat arrays, walked in step: scikit-learn's own prediction of one row takes milliseconds.

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
    """Trees to be walked. Those of a tree's nodes that split come first in it, then its leaves, each in their order.

    Attributes:
        depth: steps from a root to the deepest leaf.
        splits: where each tree's splits begin in `feature` and `threshold`; shape (trees,).
        nodes: where each tree's nodes begin in pairs of `children`; shape (trees,).
        leaf: from a leaf's number among all nodes to that among all leaves, what is added; shape (trees,).
        feature, threshold: of each split; shape (splits,).
        children: left and right child of each node, counted within the tree, a leaf's are itself; shape (2 * nodes,).
    """

    depth: int
    splits: npt.NDArray[np.intp]
    nodes: npt.NDArray[np.intp]
    leaf: npt.NDArray[np.intp]
    feature: npt.NDArray[np.unsignedinteger[Any]]
    threshold: npt.NDArray[np.float32]
    children: npt.NDArray[np.unsignedinteger[Any]]

    @classmethod
    def of(cls, grown: Nodes) -> Trees:
        """The same trees, narrow."""
        is_leaf, roots = grown.is_leaf, grown.roots
        tree = np.repeat(np.arange(len(roots)), np.diff(np.append(roots, len(is_leaf))))
        leaves: npt.NDArray[np.int64] = np.cumsum(is_leaf) - is_leaf
        splits = np.arange(len(is_leaf)) - leaves
        of_tree = np.bincount(tree, ~is_leaf).astype(np.int64)
        within = np.where(is_leaf, of_tree[tree] + leaves - leaves[roots][tree], splits - splits[roots][tree])
        children = np.empty((len(is_leaf), 2), dtype=np.int64)
        children[roots[tree] + within] = within[grown.children.reshape(-1, 2)]
        return cls(
            depth=grown.depth,
            splits=splits[roots].astype(np.intp),
            nodes=roots.astype(np.intp),
            leaf=(leaves[roots] - of_tree - roots).astype(np.intp),
            feature=_narrow(grown.feature[~is_leaf]),
            threshold=grown.threshold[~is_leaf],
            children=_narrow(children.ravel()),
        )

    def leaves(self, rows: Floats) -> npt.NDArray[np.intp]:
        """The leaf of each tree that each row of features, shape (rows, features), falls into; shape (rows, trees)."""
        # float32, as scikit-learn compares: a value on a threshold must go the same way as in the fit.
        values = rows.astype(np.float32, copy=False).ravel()
        line = (np.arange(len(rows)) * rows.shape[1])[:, None] if len(rows) > 1 else None
        at = np.tile(self.nodes, (len(rows), 1))
        to_split = self.splits - self.nodes
        for step in range(self.depth):
            # A leaf reads some other node's split, which is of no consequence: both its children are itself.
            split = at + to_split
            feature = self.feature.take(split, mode="clip")
            right = values.take(feature if line is None else line + feature) > self.threshold.take(split, mode="clip")
            below = self.children.take(2 * at + right) + self.nodes
            # Seldom does a row go as deep as the deepest leaf; asking costs as much as half a step.
            if step % 4 == 3 and (below == at).all():
                break
            at = below
        return at + self.leaf


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
