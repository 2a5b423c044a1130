"""One target in a running controller: its ticks, one after the other.

They run whether this process leads or not. A follower observes, decides and learns as the leader does, so that it
goes on where the leader ended; what it would write is withheld where writes are made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from autoscaler.journal.beginnings import Began
from autoscaler.loop import Ports, State, Target, begin, tick
from autoscaler.service.continuity import Continuity, Left, Witness
from autoscaler.service.recorder import Metrics

_log = structlog.get_logger(__name__)

GIVEN_UP = "its policy is no longer in force"
PAUSED = "the target is paused"
EARLY = 0.25
"""Of an interval: the first tick may have begun so late that the others seem to be early."""


class Runner:
    """Runs the ticks of one target.

    Args:
        target: what is sized.
        make_ports: the world, asked for at the first tick.
        metrics: where the time and the errors of ticks are counted.
        ready: whether it is known what was kept of the target and whether it is paused; before, nothing is read.
        paused: whether somebody has paused the target.
        continuity: what outlives this process, for a policy that has such; None begins anew each time.
        witness: is told of each beginning.
        monotonic: seconds of a clock that never jumps.

    Attributes:
        completed_s: when the last tick ended, by that clock.
        failed: the kind of error of ours that the last tick ended in; empty where it did not.
        ended: whether another policy, or none, is in force: a tick that is still under way may write no more.
    """

    def __init__(
        self,
        target: Target,
        make_ports: Callable[[], Ports],
        metrics: Metrics,
        *,
        ready: Callable[[], bool],
        paused: Callable[[], bool],
        continuity: Continuity | None = None,
        witness: Witness | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.target = target
        self._make_ports = make_ports
        self._ready = ready
        self._paused = paused
        self._metrics = metrics
        self._monotonic = monotonic
        self._continuity = continuity
        self._witness = witness
        self._began: tuple[Ports, State] | None = None
        self._ticking = threading.Lock()
        self._ended = False
        self._first_s: float | None = None
        self._begun = 0
        self.completed_s = self._well_s = monotonic()
        self.failed = ""

    def run(self) -> None:
        """One tick. An error of ours ends the tick, not the target: the next one starts from what is seen then."""
        self._count_skipped()
        try:
            with self._ticking, self._metrics.tick_s.time():
                self._tick()
            self.failed, self._well_s = "", self._monotonic()
        except Exception as error:  # noqa: BLE001 — whatever it is, the other targets and the next tick go on
            self.failed = type(error).__name__
            self._metrics.failures.labels(self.target.name).inc()
            _log.exception("tick failed", target=self.target.name)
        self.completed_s = self._monotonic()

    def _count_skipped(self) -> None:
        """Of the ticks that were due since the first, those that have not begun."""
        now_s = self._monotonic()
        self._first_s = now_s if self._first_s is None else self._first_s
        due = int((now_s - self._first_s) / self.target.policy.tick_s + EARLY)
        if (skipped := due - self._begun) > 0:
            self._metrics.skipped.labels(self.target.name).inc(skipped)
        self._begun = max(due, self._begun) + 1

    def behind_s(self) -> float:
        """Seconds since the last tick ended."""
        return self._monotonic() - self.completed_s

    def failing_s(self) -> float:
        """Seconds since a tick last ended well, where the last one did not; 0 where it did."""
        return self._monotonic() - self._well_s if self.failed else 0.0

    def overtaken(self) -> str | None:
        """Why a tick that is under way may write no more: what it began under has changed since."""
        if self._ended:
            return GIVEN_UP
        return PAUSED if self._paused() else None

    def close(self, within_s: float) -> Left | None:
        """End; what outlives this runner, of which what was kept is also handed to where memories are.

        After a tick that does not end in time, what was kept before stays.
        """
        if not self._ticking.acquire(timeout=within_s):
            self._ended = True
            return None
        try:
            began, self._ended = self._began, True
            if self._continuity is None:
                return None
            if began is None:
                return self._continuity.left
            ports, state = began
            kept = self._continuity.keep(state.memory, ports.clock.now_s())
            return None if kept is None else Left(kept, state, ports)
        finally:
            self._ticking.release()

    def _tick(self) -> None:
        if self._ended or not self._ready():
            return
        ports, state = self._began or self._begin()
        state = tick(self.target, ports, state, paused=self._paused())
        self._began = ports, state
        if self._continuity is not None:
            self._continuity.tend(state.memory, ports.clock.now_s())

    def _begin(self) -> tuple[Ports, State]:
        ports = self._make_ports()
        now_s = ports.clock.now_s()
        lasting = self._continuity
        memory = lasting.begin(now_s) if lasting is not None else None
        recalled, until_s = (lasting.recalled, lasting.seen_until_s) if lasting is not None else (None, None)
        if self._witness is not None:
            kept = recalled.decode() if recalled else None
            self._witness.note(Began(self.target.name, now_s, kept, carried=until_s is not None))
        state = begin(self.target, now_s, memory)
        return ports, state if until_s is None else State(state.memory, until_s)
