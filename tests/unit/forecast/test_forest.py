"""The quantile forest: walked as scikit-learn walks, its leaves are distributions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesRegressor

from autoscaler.forecast.bins import BINS, CENTRES, bin_of, loads, log_ratio
from autoscaler.forecast.calibration import quantiles
from autoscaler.forecast.forest import MAX_ROWS, fit
from autoscaler.forecast.trees import Settings, Trees, grow


@pytest.fixture(scope="module")
def lesson():
    """The outcome's spread follows the first feature; the second is noise."""
    random = np.random.default_rng(5)
    features = random.normal(size=(3000, 2))
    outcomes = np.column_stack([features[:, 0] + 0.1 * random.normal(size=3000), 0.5 * features[:, 0]])
    weights = random.uniform(0.5, 2.0, 3000)
    return features, outcomes, weights


def test_the_walk_ends_in_scikit_learns_leaves(lesson):
    features, outcomes, weights = lesson
    forest = fit(features, outcomes, weights, seed=1)
    grown = ExtraTreesRegressor(40, min_samples_leaf=12, max_features=0.7, random_state=1).fit(
        features, outcomes, np.sqrt(weights)
    )
    taught = grown.apply(features)
    rows = np.random.default_rng(2).normal(size=(20, 2))
    for leaves, forecast in zip(grown.apply(rows), forest.histograms(forest.leaves(rows))[0], strict=True):
        expected = np.zeros(BINS)
        for tree, leaf in enumerate(leaves):
            inside = taught[:, tree] == leaf
            share = weights[inside] / weights[inside].sum() / len(leaves)
            np.add.at(expected, bin_of(outcomes[inside, 0]), share)
        np.testing.assert_allclose(forecast, expected, atol=1e-6)


def test_a_forecast_is_a_distribution_that_follows_its_feature(lesson):
    forest = fit(*lesson, seed=1, settings=Settings(features_a_split=1.0))
    means = []
    for value in (-1.0, 0.0, 1.0):
        for histogram in forest.histograms(forest.leaves(np.array([[value, 0.0]]))):
            assert histogram.sum() == pytest.approx(1.0)
            assert (histogram >= 0).all()
        means.append(float(forest.histograms(forest.leaves(np.array([[value, 0.0]])))[0][0] @ CENTRES))
    assert means == pytest.approx([-1.0, 0.0, 1.0], abs=0.15)


def test_the_same_lesson_gives_the_same_model_and_another_seed_another(lesson):
    small = Settings(trees=4)
    digests = [fit(*lesson, seed=seed, settings=small).digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("columns", [2, 300], ids=["few features", "more than a byte counts"])
@pytest.mark.parametrize("least", [12, 3000], ids=["deep", "a leaf each"])
def test_narrow_trees_end_where_the_grown_ones_do(lesson, columns, least):
    features, outcomes, weights = lesson
    features = np.hstack([features, np.random.default_rng(3).normal(size=(len(features), columns - 2))])
    grown, _ = grow(features, outcomes, weights, 1, Settings(trees=5, min_rows_a_leaf=least))
    number = np.cumsum(grown.is_leaf) - 1
    # Values beyond all thresholds, on them, and none at all go the same way, too.
    rows = np.random.default_rng(2).normal(scale=2, size=(200, columns))
    rows[:20] = np.random.default_rng(4).choice(grown.threshold, size=(20, columns))
    rows[20:23] = np.array([[np.inf], [-np.inf], [np.nan]])
    trees = Trees.of(grown)
    for row, leaves in zip(rows, trees.leaves(rows), strict=True):
        ends = [walk(grown, root, row.astype(np.float32)) for root in grown.roots]
        assert number[ends].tolist() == leaves.tolist() == trees.leaves(row[None])[0].tolist()


def walk(grown, node, row):
    """Node by node, as trees are read."""
    while (child := grown.children[2 * node + (row[grown.feature[node]] > grown.threshold[node])]) != node:
        node = child
    return node


def test_a_model_stays_small(lesson):
    random = np.random.default_rng(1)
    features = random.normal(size=(MAX_ROWS, 20))
    forest = fit(features, features[:, :2], np.ones(MAX_ROWS), seed=1, settings=Settings(trees=40))
    trees = forest.trees
    arrays = (trees.threshold, trees.left, trees.apart, forest.first, forest.rows, forest.bins, forest.weights)
    assert sum(array.nbytes for array in arrays) < 2_000_000


@given(st.floats(0, 500), st.floats(0, 500))
def test_a_load_falls_into_the_bin_that_stands_for_it(load, level):
    ratio = log_ratio(load, level)
    inside = loads(level)[bin_of(ratio)]
    if abs(ratio) < 4.5:
        assert inside + 0.3 == pytest.approx(load + 0.3, rel=0.021)


def test_quantiles_are_loads():
    histogram = np.zeros(BINS)
    histogram[bin_of([log_ratio(2.0, 2.0), log_ratio(8.0, 2.0)])] = 0.5
    assert quantiles(histogram, 2.0) == pytest.approx((2.0, 8.0, 8.0, 8.0), rel=0.05)
