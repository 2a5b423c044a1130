"""Learning beside the loop: a fit may take long, a tick may not."""

from __future__ import annotations

from concurrent.futures import Executor, Future

import structlog

from autoscaler.model import Fit, Fitted

_log = structlog.get_logger(__name__)


class BackgroundTrainer:
    """Trainer of one target; targets share the threads of an executor.

    Args:
        executor: where jobs run.
        target: named when a job fails.
    """

    def __init__(self, executor: Executor, target: str) -> None:
        self._executor = executor
        self._target = target
        self._running: Future[Fitted | None] | None = None
        self._next: Fit | None = None

    def submit(self, fit: Fit) -> None:
        """See `Trainer`. While a job runs, one more waits: the latest."""
        self._next = fit
        self._advance()

    def finished(self) -> Fitted | None:
        """See `Trainer`."""
        done = self._take()
        self._advance()
        return done

    def _take(self) -> Fitted | None:
        if self._running is None or not self._running.done():
            return None
        done, self._running = self._running, None
        if (error := done.exception()) is not None:
            _log.error("fit failed, the last model stays", target=self._target, exc_info=error)
            return None
        return done.result()

    def _advance(self) -> None:
        if self._running is None and self._next is not None:
            fit, self._next = self._next, None
            self._running = self._executor.submit(fit.job)
