"""Which waiting pieces run together. Pure.

A batch of n pieces saves n - 1 calls of the model and costs the padding of all pieces to the longest. 15 clips of 1 s
beside one of 30 s would take ten times as long together as one by one (research: speech, 3.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from inference_server.engines.engine import BatchLimits, Piece

_MAX_WINDOW = 64


def choose_batch(waiting: Iterable[Piece], limits: BatchLimits) -> list[int]:
    """Positions of the pieces to run next.

    Those that share the batch of the first one where the first few that wait are worked off in the least time. Twice
    as many as a batch may hold are looked at: with more, batches would be better filled, and what fits into none of
    them would wait longer.

    Args:
        waiting: pieces in the order in which they are due; at least one.
        limits: of the engine.

    Returns:
        ascending positions; the first is always 0, so nothing waits for a batch to fill and nothing starves.
    """
    pieces = iter(waiting)
    head = next(pieces)
    if head.cost > limits.max_shared_cost:
        return [0]
    window = [(head.cost, 0)]
    for position, piece in enumerate(pieces, start=1):
        if len(window) >= min(2 * limits.max_pieces, _MAX_WINDOW):
            break
        if piece.group == head.group and piece.cost <= limits.max_shared_cost:
            window.append((piece.cost, position))
    window.sort()
    batches = _quickest([cost for cost, _ in window], limits)
    shares = ([position for _, position in window[batch.start : batch.stop]] for batch in batches)
    return sorted(next(positions for positions in shares if 0 in positions))


def _quickest(costs: Sequence[float], limits: BatchLimits) -> Iterator[range]:
    """Cuts ascending costs into batches that together take the least time, the last one first.

    The shortest way to any beginning of the list is the shortest way to where its last batch begins, and that batch.
    """
    least, begins = [0.0], [0]
    for end, longest in enumerate(costs, start=1):
        sizes = range(1, min(end, limits.max_pieces) + 1)
        allowed = (size for size in sizes if size == 1 or longest * size <= limits.max_padded_cost)
        total, size = min((least[end - size] + limits.call_cost + longest * size, size) for size in allowed)
        least.append(total)
        begins.append(end - size)
    end = len(costs)
    while end:
        yield range(begins[end], end)
        end = begins[end]


def padding_ratio(costs: list[float]) -> float:
    """Padded over real cost of a batch; 1 is no padding."""
    return max(costs) * len(costs) / sum(costs)
