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


LIMITS = BatchLimits(max_pieces=4, max_padded_cost=16.0, edges=(1.0, 2.0, 4.0, 8.0))


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        pytest.param([1.0], [0], id="one piece runs alone, at once"),
        pytest.param([1.0, 1.0, 1.0], [0, 1, 2], id="equal pieces run together"),
        pytest.param([1.0] * 6, [0, 1, 2, 3], id="up to the most pieces"),
        pytest.param([1.0, 30.0, 0.5], [0, 2], id="a long one never beside short ones"),
        pytest.param([30.0, 30.0], [0], id="beyond the last edge alone"),
        pytest.param([8.0, 8.0, 8.0], [0, 1], id="under the cap of padded cost"),
        pytest.param([5.0, 8.0, 5.0, 5.0], [0, 1], id="the longest counts for all"),
        pytest.param([1.0, 1.01], [0], id="an edge belongs to the bucket below"),
    ],
)
def test_the_head_of_the_queue_draws_its_own_bucket(costs: list[float], chosen: list[int]) -> None:
    assert choose_batch([Clip(cost) for cost in costs], LIMITS) == chosen


def test_pieces_with_other_options_stay_apart() -> None:
    assert choose_batch([Clip(1, "zh"), Clip(1, "en"), Clip(1, "zh")], LIMITS) == [0, 2]


def test_without_buckets_every_piece_runs_alone() -> None:
    assert choose_batch([Clip(1), Clip(1)], BatchLimits()) == [0]


@given(
    st.lists(st.builds(Clip, st.floats(0.05, 60), st.sampled_from(["a", "b"])), min_size=1, max_size=40),
    st.integers(1, 16),
    st.floats(0.1, 100),
)
def test_every_batch_keeps_every_limit(clips: list[Clip], most: int, cap: float) -> None:
    limits = BatchLimits(most, cap, (0.5, 1, 2, 4, 8, 16, 30))
    batch = [clips[position] for position in choose_batch(clips, limits)]
    longest = max(clip.cost for clip in batch)
    assert batch[0] is clips[0]
    assert len(batch) <= most
    assert len(batch) == 1 or longest * len(batch) <= cap
    assert len({clip.group for clip in batch}) == 1
    assert padding_ratio([clip.cost for clip in batch]) <= max(2.0, longest / 0.5)
