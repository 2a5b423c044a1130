"""Which pieces run together."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engines.engine import BatchLimits
from inference_server.serving.batching import choose_batch, padding_ratio


@dataclass(frozen=True)
class Clip:
    cost: float
    group: str = ""


LIMITS = BatchLimits(max_pieces=4, max_padded_cost=16.0, max_padding_cost=0.5, max_shared_cost=8.0)


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        pytest.param([1.0], [0], id="one piece runs alone, at once"),
        pytest.param([1.0, 1.0, 1.0], [0, 1, 2], id="equal pieces run together"),
        pytest.param([1.0] * 6, [0, 1, 2, 3], id="up to the most pieces"),
        pytest.param([1.0, 30.0, 0.5], [0, 2], id="a long one never beside short ones"),
        pytest.param([30.0, 30.0], [0], id="a long one runs alone"),
        pytest.param([8.0, 8.0, 8.0], [0, 1], id="under the cap of padded cost"),
        pytest.param([1.0, 1.5], [0, 1], id="padding that one saved call pays for"),
        pytest.param([1.0, 1.6], [0], id="padding that it does not pay for"),
        pytest.param([1.0, 1.6, 1.0], [0, 2], id="what does not fit is passed over"),
        pytest.param([1.0, 1.0, 1.5], [0, 1, 2], id="two saved calls pay for two padded pieces"),
        pytest.param([2.0, 1.6, 1.7], [0, 1, 2], id="shorter ones are padded to the first"),
    ],
)
def test_a_piece_joins_where_the_saved_calls_pay_for_the_padding(costs: list[float], chosen: list[int]) -> None:
    assert choose_batch([Clip(cost) for cost in costs], LIMITS) == chosen


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
    clips: list[Clip], most: int, cap: float, call_cost: float
) -> None:
    limits = BatchLimits(most, cap, call_cost, 30.0)
    batch = [clips[position] for position in choose_batch(clips, limits)]
    costs = [clip.cost for clip in batch]
    padded = max(costs) * len(batch)
    assert batch[0] is clips[0]
    assert len({clip.group for clip in batch}) == 1
    assert len(batch) == 1 or (len(batch) <= most and padded <= cap and max(costs) <= 30.0)
    assert call_cost + padded <= sum(call_cost + cost for cost in costs) + 1e-6
    assert padding_ratio(costs) == pytest.approx(padded / sum(costs))
