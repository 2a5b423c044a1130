"""Knative's averages of reports over a window of one-second buckets.

Source: knative/serving, pkg/autoscaler/aggregation/bucketing.go. Where the controller keeps a ring, this keeps
the seconds that were written; a value is immutable, recording returns a new one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.policies.kpa.settings import Aggregation

SLOWEST_DECAY = 0.2
"""The newest bucket of a weighted average weighs at least this much."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Sums of reports by second."""

    size: int
    """Number of buckets: the window in seconds, rounded up."""
    first_s: int = 0
    last_s: int | None = None
    """None: nothing was written yet."""
    sums: tuple[tuple[int, float], ...] = ()
    """Second and sum, oldest first; seconds that left the window are dropped."""

    def record(self, at_s: float, value: float) -> Buckets:
        """Add a report; one that is a whole window older than the newest is dropped."""
        second = math.floor(at_s)
        if self.last_s is None or second - self.last_s >= self.size:
            return Buckets(self.size, second, second, ((second, value),))
        if self.last_s - second >= self.size:
            return self
        last_s = max(self.last_s, second)
        sums = dict(self.sums)
        sums[second] = sums.get(second, 0.0) + value
        kept = tuple((at, sums[at]) for at in sorted(sums) if at > last_s - self.size)
        return Buckets(self.size, min(self.first_s, second), last_s, kept)

    def silent(self, now_s: float) -> bool:
        """Nothing was reported for more than the window."""
        return self.last_s is None or math.floor(now_s) - self.last_s > self.size

    def average(self, now_s: float, aggregation: Aggregation) -> float:
        """The average as seen at a time; 0 after a silent window."""
        if self.last_s is None:
            return 0.0
        late = max(0, math.floor(now_s) - self.last_s)
        if aggregation is Aggregation.WEIGHTED_EXPONENTIAL:
            return 0.0 if late > self.size else self._weighted(self.last_s + late)
        return 0.0 if late >= self.size else self._linear(self.last_s, late)

    def _linear(self, last_s: int, late: int) -> float:
        """Sum over the buckets since the first write; silence at the end shortens the window."""
        total = sum(value for second, value in self.sums if second > last_s + late - self.size)
        buckets = min(last_s - self.first_s + 1, self.size - late)
        return math.floor(total / buckets * 1e6 + 0.5) / 1e6

    def _weighted(self, now_s: int) -> float:
        """The newest second weighs c, each older one (1 - c) times less; silence counts as zeros."""
        newest = smoothing(self.size)
        return sum(
            value * newest * (1.0 - newest) ** (now_s - second)
            for second, value in self.sums
            if second > now_s - self.size
        )


def smoothing(buckets: int) -> float:
    """The weight of the newest of so many buckets."""
    return float(max(SLOWEST_DECAY, 1.0 - 0.0001 ** (1.0 / buckets)))
