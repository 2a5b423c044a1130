"""How fast the model works: what a promise about waiting rests on."""

from __future__ import annotations

from collections import deque
from math import ceil

_REMEMBERED_BATCHES = 16


class Pace:
    """Seconds of the model per unit of cost, from its last batches. Not thread-safe.

    The slowest quarter of them is left out: on a busy machine single batches take many times as long as usual, and a
    promise that rests on one of them would turn requests away that there is room for. A model that really became slower
    is noticed within a few batches. Seconds and costs are summed, so that short pieces do not count like long ones.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED_BATCHES)

    def observe(self, cost: float, service_s: float) -> None:
        """A batch of this cost took so long; the warm-up counts as one."""
        self._recent.append((cost, service_s))

    @property
    def seconds_per_cost(self) -> float:
        """0 as long as nothing is known."""
        by_pace = sorted(self._recent, key=lambda batch: batch[1] / batch[0])
        usual = by_pace[: max(1, len(by_pace) - ceil(len(by_pace) / 4))]
        return sum(service_s for _, service_s in usual) / sum(cost for cost, _ in usual) if usual else 0.0
