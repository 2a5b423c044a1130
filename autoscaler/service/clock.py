"""Whether the machine's clock was set: what was written down by the old one is then of another time."""

from __future__ import annotations

import time
from collections.abc import Callable

SMALLEST_S = 5.0
"""Less is drift, which is slewed and not set."""
TOGETHER_S = 0.1
"""Two clocks are read at one moment if the process was not stopped for longer in between."""


class ClockWatch:
    """Compares the clock of the machine with one that never jumps.

    A machine that slept is one whose clock was set forwards: the other clock stands still meanwhile.

    Args:
        wall: seconds since the epoch.
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._apart_s = self._read()

    def step_s(self) -> float:
        """Seconds by which it was set since it last was, 0 for less than `SMALLEST_S`; each is told once."""
        apart_s = self._read()
        step_s = apart_s - self._apart_s
        if abs(step_s) < SMALLEST_S:
            return 0.0
        self._apart_s = apart_s
        return step_s

    def _read(self) -> float:
        while True:
            before_s, wall_s, after_s = self._monotonic(), self._wall(), self._monotonic()
            if after_s - before_s < TOGETHER_S:
                return wall_s - after_s
