"""Growth at once; a pod goes when keeping it has cost as much as a start."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policies.predictive.keeping import Keeping, Wants

PODS = 12


def wants(order: int, hold: int, lost: float = 1.0) -> Wants:
    """One service's; every pod that is not wanted is lost by the same part."""
    return Wants(np.array([order]), np.array([hold]), np.zeros(1), np.full((1, PODS), lost))


def life(start_price_s: float, *steps: Wants, begin: int = 4) -> list[int]:
    """Targets after each of some steps, 5 s apart."""
    keeping = Keeping.begin(1, begin, PODS)
    return [int(keeping.follow(step, start_price_s, 5.0)[0]) for step in steps]


@pytest.mark.parametrize(
    ("start_price_s", "steps", "expected"),
    [
        pytest.param(30, [wants(6, 6)], [6], id="grows at once"),
        pytest.param(0, [wants(2, 3)], [3], id="free starts: shrinks at once, to what is held"),
        pytest.param(12, [wants(2, 2)] * 4, [4, 4, 2, 2], id="shrinks when keeping has cost a start"),
        pytest.param(12, [wants(2, 2, 0.5)] * 6, [4, 4, 4, 4, 2, 2], id="half lost pods stay twice as long"),
        pytest.param(
            12, [wants(2, 2), wants(2, 2), wants(4, 4), wants(2, 2), wants(2, 2)], [4] * 5, id="wanted: begins anew"
        ),
        pytest.param(12, [wants(2, 3), wants(2, 2), wants(2, 2)], [4, 4, 3], id="each pod has its own account"),
        pytest.param(12, [wants(2, 2), wants(6, 6), wants(2, 2), wants(2, 2)], [4, 6, 6, 6], id="growth clears it"),
    ],
)
def test_growth_and_shrinking(start_price_s, steps, expected):
    assert life(start_price_s, *steps) == expected


def test_time_without_data_costs_nothing():
    keeping = Keeping.begin(1, 4, PODS)
    for _ in range(100):
        assert keeping.follow(wants(2, 2), 12.0, 0.0)[0] == 4


@given(
    st.lists(st.tuples(st.integers(1, PODS), st.integers(0, 4), st.floats(0, 1)), min_size=1, max_size=60),
    st.floats(0, 60),
)
def test_never_fewer_than_are_held_and_more_only_by_order(moments, start_price_s):
    steps = [wants(order, min(order + more, PODS), lost) for order, more, lost in moments]
    before = 4
    for step, target in zip(steps, life(start_price_s, *steps), strict=True):
        order, hold = int(step.order[0]), int(step.hold[0])
        assert max(order, min(hold, before)) <= target <= max(order, before)
        before = target


@given(st.lists(st.integers(1, PODS), min_size=1, max_size=60), st.floats(0, 30), st.floats(0, 30))
def test_a_dearer_start_never_keeps_fewer_pods(orders, one, other):
    low, high = sorted((one, other))
    steps = [wants(order, order, 0.7) for order in orders]
    assert all(a <= b for a, b in zip(life(low, *steps), life(high, *steps), strict=True))
