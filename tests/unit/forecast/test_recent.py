"""Between two fits the leaves of a forest go on learning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.bins import BINS, bin_of
from autoscaler.forecast.forest import RECENT_SHARE, fit
from autoscaler.forecast.recent import ROOM, Recent
from autoscaler.forecast.sample import Pool
from autoscaler.forecast.trees import Settings

ALL = Pool(100, 100.0, 100)
DOUBLED = (0.7, 0.7)


@pytest.fixture(scope="module")
def forest():
    """The load stays as it is where the first feature is low, and halves where it is high."""
    random = np.random.default_rng(5)
    features = random.normal(size=(2000, 2))
    outcomes = np.where(features[:, :1] > 0, -0.7, 0.0) + 0.02 * random.normal(size=(2000, 1)) * np.ones((1, 2))
    return fit(features, outcomes, np.full(2000, 3.0), seed=1, settings=Settings(trees=8))


def since(forest, pool=ALL, pending=0):
    return Recent.of(pool, trees=len(forest.trees.roots), leaves=len(forest.first) - 1, pending=pending)


def leaves_of(forest, *row):
    [leaves] = forest.leaves(np.array([row]))
    return leaves


def teach(recent, leaves, times=1, ratios=DOUBLED, load=1.0):
    """So often such a moment came, and this after it."""
    for _ in range(times):
        recent.pending.note(leaves)
        recent.pending.interval_ended()
        recent.window_ended(ratios, load)


def test_before_anything_came_it_is_what_the_fit_says(forest):
    rows = np.random.default_rng(2).normal(size=(20, 2))
    orders, holds = forest.histograms(forest.leaves(rows))
    for row, order, hold in zip(rows, orders, holds, strict=True):
        np.testing.assert_array_equal(forest.histogram(leaves_of(forest, *row), since(forest)), (order, hold))


def test_what_came_is_expected_where_it_came_and_nowhere_else(forest):
    low, high, recent = leaves_of(forest, -1.0, 0.0), leaves_of(forest, 1.0, 0.0), since(forest)
    before = forest.histogram(high, recent)
    apart = low != high  # at random a tree may not tell them apart
    teach(recent, np.where(apart, low, 0), times=20)
    for law in forest.histogram(low, recent):
        assert law[bin_of(0.7)] > 0.1
    np.testing.assert_array_equal(forest.histogram(high, recent), before)


def test_a_moment_weighs_as_much_as_a_moment_of_the_past(forest):
    leaves, recent = leaves_of(forest, -1.0, 0.0), since(forest)
    teach(recent, leaves)
    expected = np.mean([1.0 / (_moments(forest, leaf) + 1.0) for leaf in leaves])
    assert forest.histogram(leaves, recent)[0][bin_of(0.7)] == pytest.approx(expected, rel=1e-6)


def _moments(forest, leaf):
    """What the fit found in a leaf: each row stands for three moments."""
    begin, end = int(forest.first[leaf]), int(forest.first[leaf + 1])
    return 3.0 * ((end or len(forest.bins)) - begin)


def test_like_moments_do_not_drown_what_the_fit_found(forest):
    leaves, recent = leaves_of(forest, -1.0, 0.0), since(forest)
    teach(recent, leaves, times=5000)
    order, hold = forest.histogram(leaves, recent)
    assert order[bin_of(0.7)] == pytest.approx(RECENT_SHARE / (1 + RECENT_SHARE), rel=1e-6)
    assert order[bin_of(0.7)] == hold[bin_of(0.7)]


@given(
    moments=st.lists(st.tuples(st.floats(-2, 2), st.floats(-5, 5), st.floats(0, 100)), max_size=60),
    row=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
)
def test_whatever_comes_a_forecast_is_a_distribution(forest, moments, row):
    recent = since(forest, Pool(1000, 500.0, 200))
    for feature, ratio, load in moments:
        teach(recent, leaves_of(forest, feature, 0.0), ratios=(ratio, ratio), load=load)
    for law in forest.histogram(leaves_of(forest, *row), recent):
        assert law.shape == (BINS,)
        assert law.min() >= 0.0
        assert law.sum() == pytest.approx(1.0)


def test_of_what_comes_the_part_is_kept_that_was_drawn_of_the_past_and_stands_for_all(forest):
    leaves, recent = leaves_of(forest, -1.0, 0.0), since(forest, Pool(10_000, 10_000.0, 1000))
    teach(recent, leaves, times=990)
    teach(recent, leaves, times=10, load=100.0)
    assert recent.weights[: recent.count].sum() == pytest.approx(1000, rel=0.02)
    assert 100 <= recent.count < 120
    assert (recent.weights[: recent.count] == 1.0).sum() == 10  # each of the busy ones


def test_it_grows_as_long_as_something_comes(forest):
    leaves, recent = leaves_of(forest, 1.0, 0.0), since(forest)
    teach(recent, leaves, times=3 * ROOM)
    assert recent.count == 3 * ROOM
    assert (recent.leaves[:, : recent.count] == leaves[:, None]).all()


def test_moments_are_found_as_they_came_each_in_the_trees_where_it_fell(forest):
    low, high, recent = leaves_of(forest, -1.0, 0.0), leaves_of(forest, 1.0, 0.0), since(forest)
    for leaves in (low, high, low):
        teach(recent, leaves)
    apart = np.flatnonzero(low != high)
    moments, trees = recent.beside(low)
    assert moments.tolist() == sorted(moments.tolist())
    assert trees[moments == 0].tolist() == trees[moments == 2].tolist() == list(range(len(low)))
    assert not set(apart) & set(trees[moments == 1])


def test_moments_without_a_forecast_and_moments_that_are_forgotten_teach_nothing(forest):
    recent = since(forest, pending=2)
    for _ in range(2):
        recent.window_ended(DOUBLED, 1.0)  # of before it began
    recent.pending.interval_ended()
    recent.window_ended(DOUBLED, 1.0)
    recent.pending.note(leaves_of(forest, 1.0, 0.0))
    recent.pending.forget()
    recent.pending.interval_ended()
    recent.window_ended(DOUBLED, 1.0)
    assert recent.count == 0
