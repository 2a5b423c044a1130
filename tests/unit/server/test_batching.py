"""Which pieces run together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engines.engine import BatchLimits, Rehearsal, call_cost
from inference_server.serving.batching import choose_batch, padding_ratio


@dataclass(frozen=True)
class Clip:
    cost: float
    group: str = ""


LIMITS = BatchLimits(max_pieces=4, max_padded_cost=16.0, call_cost=0.5, max_shared_cost=8.0)


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        pytest.param([1.0], [0], id="one piece runs alone, at once"),
        pytest.param([1.0, 1.0, 1.0], [0, 1, 2], id="equal pieces run together"),
        pytest.param([1.0] * 6, [0, 1, 2, 3], id="up to the most pieces"),
        pytest.param([1.0, 30.0, 0.6], [0, 2], id="a long one never beside short ones"),
        pytest.param([30.0, 30.0], [0], id="a long one runs alone"),
        pytest.param([8.0, 8.0, 8.0], [0, 1], id="under the cap of padded cost"),
        pytest.param([1.0, 1.4], [0, 1], id="padding that one saved call pays for"),
        pytest.param([1.0, 1.6], [0], id="padding that it does not pay for"),
        pytest.param([1.0, 1.6, 1.0], [0, 2], id="what does not fit is passed over"),
        pytest.param([1.0, 1.0, 1.2], [0, 1, 2], id="two saved calls pay for two padded pieces"),
        pytest.param([1.0, 1.0, 1.3], [0, 1], id="but only where that is quicker than two batches"),
        pytest.param([2.0, 1.8, 1.9], [0, 1, 2], id="shorter ones are padded to the first"),
        pytest.param([2.0, 1.6, 1.6, 1.6], [0], id="nor where the others are quicker without it"),
        pytest.param([1.0, 1.5, 1.5, 1.0], [0, 3], id="like goes with like"),
        pytest.param([1.0, *[2.0] * 7, 1.0], [0], id="what waits behind twice a batch is not looked at"),
        pytest.param([1.0, *[2.0] * 6, 1.0], [0, 7], id="what waits within it is"),
    ],
)
def test_a_piece_joins_where_the_saved_calls_pay_for_the_padding(costs: list[float], chosen: list[int]) -> None:
    assert choose_batch([Clip(cost) for cost in costs], LIMITS) == chosen


@pytest.mark.parametrize(
    ("short_s", "long_s", "cost"),
    [
        pytest.param(2.0, 5.0, 0.5, id="as much as half a second of sound"),
        pytest.param(1.5, 6.0, 0.0, id="nothing"),
        pytest.param(1.0, 6.0, 0.0, id="less than nothing is a slip of the clock"),
        pytest.param(2.0, 2.0, math.inf, id="everything: length costs nothing"),
        pytest.param(2.0, 1.9, math.inf, id="the longer one was quicker"),
    ],
)
def test_what_a_call_costs_is_where_two_calls_point_to(short_s: float, long_s: float, cost: float) -> None:
    assert call_cost(Rehearsal(0.5, short_s), Rehearsal(2.0, long_s)) == pytest.approx(cost)


def test_pieces_with_other_options_stay_apart() -> None:
    assert choose_batch([Clip(1, "zh"), Clip(1, "en"), Clip(1, "zh")], LIMITS) == [0, 2]


def test_without_limits_every_piece_runs_alone() -> None:
    assert choose_batch([Clip(1), Clip(1)], BatchLimits()) == [0]


@given(
    st.lists(st.builds(Clip, st.floats(0.05, 60), st.sampled_from(["a", "b"])), min_size=1, max_size=40),
    st.integers(1, 16),
    st.floats(0.1, 100),
    st.floats(0, 5),
)
def test_no_batch_breaks_a_limit_or_takes_longer_than_its_pieces_one_by_one(
    clips: list[Clip], most: int, cap: float, call: float
) -> None:
    limits = BatchLimits(most, cap, call, 30.0)
    batch = [clips[position] for position in choose_batch(clips, limits)]
    costs = [clip.cost for clip in batch]
    padded = max(costs) * len(batch)
    assert batch[0] is clips[0]
    assert len({clip.group for clip in batch}) == 1
    assert len(batch) == 1 or (len(batch) <= most and padded <= cap and max(costs) <= 30.0)
    assert call + padded <= sum(call + cost for cost in costs) + 1e-6
    assert padding_ratio(costs) == pytest.approx(padded / sum(costs))


def least_time(costs: list[float], limits: BatchLimits) -> float:
    """Of all ways to cut some pieces into batches, tried one by one."""
    if not costs:
        return 0.0
    first, *others = costs
    return min(
        limits.call_cost + max(first, *shared, 0.0) * (1 + size) + least_time(rest, limits)
        for size in range(min(len(others), limits.max_pieces - 1) + 1)
        for chosen in combinations(range(len(others)), size)
        for shared in [[others[position] for position in chosen]]
        for rest in [[cost for position, cost in enumerate(others) if position not in chosen]]
        if size == 0 or max(first, *shared) * (1 + size) <= limits.max_padded_cost
    )


@given(st.lists(st.floats(0.1, 6), min_size=1, max_size=6), st.integers(3, 4), st.floats(4, 20), st.floats(0, 5))
def test_what_waits_is_worked_off_in_the_least_time(costs: list[float], most: int, cap: float, call: float) -> None:
    limits = BatchLimits(most, cap, call)
    waiting, took = list(costs), 0.0
    while waiting:
        batch = choose_batch([Clip(cost) for cost in waiting], limits)
        took += call + max(waiting[position] for position in batch) * len(batch)
        waiting = [cost for position, cost in enumerate(waiting) if position not in batch]
    assert took == pytest.approx(least_time(costs, limits))
