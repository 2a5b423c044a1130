"""Where long audio is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.audio.spans import Span, merge_spans


@pytest.mark.parametrize(
    ("speech", "merged"),
    [
        pytest.param([], [], id="silence"),
        pytest.param([(10, 20)], [(8, 22)], id="margins at both ends"),
        pytest.param([(1, 99)], [(0, 100)], id="no margin beyond the recording"),
        pytest.param([(10, 20), (25, 30)], [(8, 32)], id="neighbours are joined, pause included"),
        pytest.param([(10, 30), (50, 70)], [(8, 32), (48, 72)], id="not beyond the target"),
        pytest.param([(10, 50), (52, 90)], [(8, 51), (51, 92)], id="margins do not overlap"),
        pytest.param([(0, 80)], [(0, 82)], id="a long one stays whole"),
    ],
)
def test_spans_are_joined_up_to_the_target(speech, merged) -> None:
    assert merge_spans([Span(*s) for s in speech], target=40, margin=2, length=100) == [Span(*m) for m in merged]


@given(st.lists(st.integers(0, 1000), unique=True, max_size=30), st.integers(1, 300), st.integers(0, 50))
def test_no_speech_is_lost_doubled_or_out_of_order(edges: list[int], target: int, margin: int) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    speech = [Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
    merged = merge_spans(speech, target, margin, 1000)
    assert all(0 <= a.start < a.end <= 1000 for a in merged)
    assert all(a.end <= b.start for a, b in pairwise(merged))
    for span in speech:
        assert sum(m.start <= span.start and span.end <= m.end for m in merged) == 1
