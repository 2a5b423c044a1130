"""One target in a running controller: its ticks, one after the other, while this process leads."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from autoscaler.loop import Ports, State, Target, begin, tick
from autoscaler.service.recorder import Metrics

_log = structlog.get_logger(__name__)


class Runner:
    """Runs the ticks of one target.

    Args:
        target: what is sized.
        make_ports: the world for a new beginning. Whoever begins to lead reads the past anew.
        metrics: where the time and the errors of ticks are counted.
        leading: whether this process leads; without leading nothing is read and nothing decided.
        paused: whether somebody has paused the target.
        monotonic: seconds of a clock that never jumps.

    Attributes:
        completed_s: when the last tick ended, by that clock.
    """

    def __init__(
        self,
        target: Target,
        make_ports: Callable[[], Ports],
        metrics: Metrics,
        *,
        leading: Callable[[], bool],
        paused: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.target = target
        self._make_ports = make_ports
        self._leading = leading
        self._paused = paused
        self._metrics = metrics
        self._monotonic = monotonic
        self._began: tuple[Ports, State] | None = None
        self.completed_s = monotonic()

    def run(self) -> None:
        """One tick. An error of ours ends the tick, not the target: the next one starts from what is seen then."""
        try:
            with self._metrics.tick_s.time():
                self._tick()
        except Exception:  # noqa: BLE001 — whatever it is, the other targets and the next tick go on
            self._metrics.failures.labels(self.target.name).inc()
            _log.exception("tick failed", target=self.target.name)
        self.completed_s = self._monotonic()

    def behind_s(self) -> float:
        """Seconds since the last tick ended."""
        return self._monotonic() - self.completed_s

    def _tick(self) -> None:
        if not self._leading():
            self._began = None
            return
        if self._began is None:
            ports = self._make_ports()
            self._began = ports, begin(self.target, ports.clock.now_s())
        ports, state = self._began
        self._began = ports, tick(self.target, ports, state, paused=self._paused())
