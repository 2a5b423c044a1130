"""Which waiting pieces run together. Pure.

Padding is what a batch costs beyond its pieces: 15 clips of 1 s beside one of 30 s take ten times as long together as
one by one (research: speech, 3.4). So a batch stays within one length bucket and under a cap of padded cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from inference_server.engines.engine import BatchLimits, Piece


def choose_batch(waiting: Iterable[Piece], limits: BatchLimits) -> list[int]:
    """Positions of the pieces to run next.

    Args:
        waiting: pieces in the order in which they are due; at least one.
        limits: of the engine.

    Returns:
        ascending positions; the first is always 0, so nothing waits for a batch to fill and nothing starves.
    """
    pieces = iter(waiting)
    head = next(pieces)
    bucket = bisect_left(limits.edges, head.cost)
    chosen = [0]
    if bucket == len(limits.edges):
        return chosen
    longest = head.cost
    for position, piece in enumerate(pieces, start=1):
        if len(chosen) >= limits.max_pieces:
            break
        if piece.group != head.group or bisect_left(limits.edges, piece.cost) != bucket:
            continue
        padded = max(longest, piece.cost) * (len(chosen) + 1)
        if padded <= limits.max_padded_cost:
            chosen.append(position)
            longest = max(longest, piece.cost)
    return chosen


def padding_ratio(costs: list[float]) -> float:
    """Padded over real cost of a batch; 1 is no padding."""
    return max(costs) * len(costs) / sum(costs)
