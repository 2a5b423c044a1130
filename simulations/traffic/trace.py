"""Recorded or made traffic: how many requests arrived in each bin, or when each one did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Trace:
    """Traffic of one service.

    `counts` has one entry for each bin of `bin_s` seconds from second 0 on. Where single arrivals are
    known they stand in `arrivals_s`, and the counts are theirs.
    """

    name: str
    bin_s: float
    counts: npt.NDArray[np.float64]
    """Requests in each bin, unscaled; shape (bins,)."""
    scale: float = 1.0
    """Factor on the counts when they become arrivals."""
    eval_start_s: float = 0.0
    """What lies before is history that a policy may see; the replay begins here."""
    start_s: float = 0.0
    """Clock time of second 0 (seconds since the epoch, the trace's local time read as UTC); 0 where unknown."""
    arrivals_s: npt.NDArray[np.float64] | None = None
    """Single arrivals since second 0, ascending, unscaled; shape (requests,)."""
    gaps_s: tuple[tuple[float, float], ...] = ()
    """Times, first and last second, for which nothing was recorded; their bins hold what the recording has, often 0."""
    counted: bool = True
    """Whether the published means include this trace."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Where it comes from, its licence, what was done to it."""

    @property
    def duration_s(self) -> float:
        """Length from second 0 to the end of the last bin."""
        return self.bin_s * len(self.counts)

    def measured(self) -> npt.NDArray[np.bool_]:
        """Whether each bin was recorded as a whole; shape (bins,)."""
        starts_s = np.arange(len(self.counts)) * self.bin_s
        known = np.ones(len(starts_s), dtype=np.bool_)
        for begin_s, end_s in self.gaps_s:
            known &= (starts_s + self.bin_s <= begin_s) | (starts_s >= end_s)
        return known
