"""How far a borrowed forecast is trusted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.mixture import GONE_S, Contest, mixed

DAY_S = 86400.0


def after(windows, borrowed, own, load=1.0, contest=None):
    contest = contest or Contest(5.0)
    for _ in range(windows):
        contest.judge(load, borrowed, own)
    return contest


@pytest.mark.parametrize(
    ("contest", "age_s", "expected"),
    [
        pytest.param(Contest(5.0), 0.0, 0.9, id="nine to one before anything is known"),
        pytest.param(Contest(5.0), 3 * DAY_S, 0.9 / np.e, id="a third after three days"),
        pytest.param(Contest(5.0), 4 * DAY_S, 0.0, id="nothing after four days"),
        pytest.param(after(700, 0.2, 0.01), 0.0, 0.9975, id="always right"),
        pytest.param(after(700, 0.01, 0.2), 0.0, 0.0025, id="always wrong"),
        pytest.param(after(50_000, 0.1, 0.1), 0.0, 0.5, id="equal ones share"),
    ],
)
def test_the_weight(contest, age_s, expected):
    assert contest.weight(age_s) == pytest.approx(expected, abs=0.001)


masses = st.floats(0, 1)


@given(
    st.lists(st.tuples(st.floats(0.3, 1e4), masses, masses), max_size=50),
    st.floats(0, 10 * DAY_S),
)
def test_the_weight_is_a_share_that_falls_with_age(windows, age_s):
    contest = Contest(5.0)
    for load, borrowed, own in windows:
        contest.judge(load, borrowed, own)
    weight = contest.weight(age_s)
    assert 0.0 <= weight <= 1.0
    assert weight >= contest.weight(age_s + 60.0)
    assert age_s < GONE_S or weight == 0.0


def test_busy_windows_count_for_more():
    idle, busy = after(1000, 0.1, 0.1, load=0.3), after(1000, 0.1, 0.1, load=0.3)
    before = idle.log_odds
    idle.judge(0.3, 0.01, 0.1)
    busy.judge(30.0, 0.01, 0.1)
    assert before - busy.log_odds > 5 * (before - idle.log_odds)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_a_mixture_is_a_distribution(weight, seed):
    random = np.random.default_rng(seed)
    borrowed, own = (shares / shares.sum() for shares in random.random((2, 230)))
    found = mixed(weight, borrowed, own)
    assert found.sum() == pytest.approx(1.0)
    assert (found >= np.minimum(borrowed, own) - 1e-12).all()
