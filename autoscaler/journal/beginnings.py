"""How a target began in a process, and what it learned of the past: the lines of a decision log that are no ticks.

With them a log says all that its decisions were made from, so that it can be run again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoscaler.model import History


@dataclass(frozen=True, slots=True)
class Began:
    """From here on a target's ticks go on from a new memory: at a start, and under a changed policy."""

    target: str
    at_s: float
    kept: str | None
    """What another process kept and this one goes on with; None: it began with nothing."""
    carried: bool = False
    """Under a changed policy: what the ticks before knew of the service goes on beside what was kept."""


@dataclass(frozen=True, slots=True)
class Learned:
    """The past from before the beginning was learned from; a later tick adopts it."""

    target: str
    digest: str
    """Of the model, as the tick names it."""
    at_s: float
    """When the past was asked for."""
    bin_s: float
    counts: tuple[int, ...]
    """Requests in each bin, oldest first."""
    end_s: float
    known: tuple[bool, ...] | None
    """Whether each bin was measured; None: all were."""

    @classmethod
    def of(cls, target: str, digest: str, at_s: float, past: History) -> Learned:
        """A history as plain values."""
        known = None if past.known is None else tuple(past.known.tolist())
        return cls(target, digest, at_s, past.bin_s, tuple(past.counts.tolist()), past.end_s, known)

    @property
    def past(self) -> History:
        """The history."""
        known = None if self.known is None else np.array(self.known, dtype=np.bool_)
        return History(self.bin_s, np.array(self.counts, dtype=np.int64), self.end_s, known)
