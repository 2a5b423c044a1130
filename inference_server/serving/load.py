"""How much waits and runs, now and integrated over time.

A gauge that is scraped every 15 s misses a burst; the rate of an integral does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class TimeIntegral:
    """A level that changes in steps, and its exact integral over time. Not thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since_s = clock()
        self._area = 0.0
        self.level = 0

    def add(self, change: int) -> None:
        """Change the level from now on."""
        self._area = self.area()
        self._since_s = self._clock()
        self.level += change

    def area(self) -> float:
        """Level x seconds since the start, up to now."""
        return self._area + self.level * (self._clock() - self._since_s)


@dataclass(frozen=True, slots=True)
class Load:
    """One reading.

    Attributes:
        in_flight: requests inside: read, decode, queue and service.
        queued: of these, requests none of whose work has started.
        oldest_wait_s: for how long the oldest of the queued has waited; 0 without one.
        slots: batches that can run at the same time.
        slots_busy: batches that run.
        in_flight_s: integral of `in_flight`.
        busy_s: integral of `slots_busy`.
    """

    in_flight: int
    queued: int
    oldest_wait_s: float
    slots: int
    slots_busy: int
    in_flight_s: float
    busy_s: float
