"""Half of what is drawn is uniform, half follows the load; the weights undo it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.sample import Pool, draw


@given(st.integers(1, 400), st.integers(10, 200), st.integers(0, 99))
def test_the_drawn_rows_stand_for_all(candidates, wanted, seed):
    random = np.random.default_rng(seed)
    load = random.exponential(size=candidates)
    rows, weights = draw(load, wanted, random)
    assert len(rows) <= max(wanted, 0) or candidates <= wanted
    assert (np.diff(rows) > 0).all()
    assert weights.sum() == pytest.approx(candidates, rel=0.6)


def test_busy_moments_are_drawn_more_often():
    load = np.where(np.arange(100_000) % 100 == 0, 50.0, 0.1)
    rows, _ = draw(load, 2000, np.random.default_rng(1))
    assert (load[rows] > 1).mean() > 0.3


def test_one_more_moment_is_as_likely_kept_as_a_like_one_was_drawn():
    load = np.random.default_rng(2).exponential(size=50_000)
    load[::500] = 40.0
    pool = Pool.of(load, 2000)
    rows, _ = draw(load, 2000, np.random.default_rng(3))
    for like in (load < 0.5, (load > 1.0) & (load < 1.5), load == 40.0):
        chances = [pool.chance(each) for each in load[like]]
        assert np.isin(np.flatnonzero(like), rows).mean() == pytest.approx(np.mean(chances), rel=0.15)


def test_where_all_were_drawn_every_further_moment_is_kept():
    assert Pool.of(np.ones(100), 100).chance(0.0) == 1.0
    assert Pool.of(np.ones(101), 100).chance(0.0) < 1.0
