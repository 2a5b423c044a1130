"""From start to drain: what state the server is in, and how long each phase of its start took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

State = Literal["loading", "ready", "failed"]


class Lifecycle:
    """State of the process. Thread-safe; times are Unix seconds from the given clock.

    Attributes:
        started_s: when the process was started, as the kernel knows it.
    """

    def __init__(self, started_s: float, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._state: State = "loading"
        self._draining = False
        self._ready_s: float | None = None
        self._phases = {"interpreter": clock() - started_s}
        self.started_s = started_s

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Time a phase of the start; the same name twice adds up."""
        begun_s = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._phases[name] = self._phases.get(name, 0.0) + self._clock() - begun_s

    def loaded(self) -> None:
        """The model is loaded and warmed up."""
        with self._lock:
            self._state = "ready"
            self._ready_s = self._clock()

    def fail(self) -> None:
        """The model could not be loaded."""
        with self._lock:
            self._state = "failed"

    def drain(self) -> None:
        """SIGTERM was received."""
        with self._lock:
            self._draining = True

    @property
    def state(self) -> State:
        """Whether the model is there."""
        return self._state

    @property
    def draining(self) -> bool:
        """Whether SIGTERM was received."""
        return self._draining

    @property
    def ready_s(self) -> float | None:
        """When the model was loaded and warmed up."""
        return self._ready_s

    def phases_s(self) -> dict[str, float]:
        """Seconds of each phase so far; `interpreter` is everything before the server's own code ran."""
        with self._lock:
            return dict(self._phases)


def process_started_s() -> float:
    """When this process was started (Unix seconds), from Linux' /proc; elsewhere now.

    Field 22 of /proc/self/stat counts clock ticks since boot (man 5 proc); the name in field 2 may hold blanks.
    """
    import os
    from pathlib import Path

    stat = Path("/proc/self/stat")
    if not stat.exists():
        return time.time()
    ticks = int(stat.read_text().rpartition(")")[2].split()[19])
    since_boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - (since_boot_s - ticks / os.sysconf("SC_CLK_TCK"))
