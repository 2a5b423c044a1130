"""Which waiting pieces run together. Pure.

A batch of n pieces saves n - 1 calls of the model and costs the padding of all pieces to the longest. So a piece joins
only where the padding stays below what the calls save: 15 clips of 1 s beside one of 30 s would take ten times as long
together as one by one (research: speech, 3.4).
"""

from __future__ import annotations

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
    chosen = [0]
    if head.cost > limits.max_shared_cost:
        return chosen
    longest = total = head.cost
    for position, piece in enumerate(pieces, start=1):
        if len(chosen) >= limits.max_pieces:
            break
        if piece.group != head.group or piece.cost > limits.max_shared_cost:
            continue
        padded = max(longest, piece.cost) * (len(chosen) + 1)
        padding = padded - total - piece.cost
        if padded <= limits.max_padded_cost and padding <= limits.max_padding_cost * len(chosen):
            chosen.append(position)
            longest = max(longest, piece.cost)
            total += piece.cost
    return chosen


def padding_ratio(costs: list[float]) -> float:
    """Padded over real cost of a batch; 1 is no padding."""
    return max(costs) * len(costs) / sum(costs)
