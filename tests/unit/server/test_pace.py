"""What is promised about waiting, from what batches took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.serving.pace import Pace

USUAL = (8.0, 0.8)
SLOW = (8.0, 8.0)


def pace(*batches: tuple[float, float]) -> float:
    it = Pace()
    for cost, service_s in batches:
        it.observe(cost, service_s)
    return it.seconds_per_cost


@pytest.mark.parametrize(
    ("batches", "seconds_per_cost"),
    [
        pytest.param([], 0.0, id="nothing is known"),
        pytest.param([USUAL], 0.1, id="the warm-up alone"),
        pytest.param([USUAL, SLOW], 0.1, id="a slow first batch on a starved machine"),
        pytest.param([SLOW, USUAL, USUAL], 0.1, id="a slow warm-up"),
        pytest.param([USUAL] * 12 + [SLOW] * 4, 0.1, id="a quarter of the batches disturbed"),
        pytest.param([USUAL] + [SLOW] * 4, 0.7, id="four slow ones after the warm-up are no accident"),
        pytest.param([USUAL] * 20 + [SLOW] * 16, 1.0, id="a model that became slow"),
        pytest.param([SLOW] * 20 + [USUAL] * 16, 0.1, id="and fast again"),
        pytest.param(
            [(100.0, 10.0), (100.0, 10.0), (1.0, 1.0), (1.0, 1.0)], 21 / 201, id="short ones count for little"
        ),
    ],
)
def test_the_pace_is_that_of_the_usual_batches(batches: list[tuple[float, float]], seconds_per_cost: float) -> None:
    assert pace(*batches) == pytest.approx(seconds_per_cost, rel=0.05)


@given(
    st.lists(st.tuples(st.floats(0.1, 100), st.floats(0.001, 100)), min_size=1, max_size=40),
    st.tuples(st.floats(0.1, 100), st.floats(0.001, 100)),
)
def test_it_lies_within_what_was_seen_and_no_single_batch_can_raise_it_beyond(batches, outlier) -> None:
    ratios = [service_s / cost for cost, service_s in batches]
    assert min(ratios) * 0.999 <= pace(*batches) <= max(ratios) * 1.001
    assert pace(*batches, outlier) <= max(ratios) * 1.001 + 1e-9
