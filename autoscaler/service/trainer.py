"""Learning beside the loop: a fit may take long, a tick may not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

import structlog

from autoscaler.model import Fit, Fitted
from autoscaler.ports import Trainer

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_log = structlog.get_logger(__name__)


class OneThread(Executor):
    """Jobs one after the other, in a thread that does not hold up the end of the process: a fit may take half a minute.

    `concurrent.futures` joins its threads at exit, whatever they do.
    """

    def __init__(self, name: str) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """See `Executor`."""
        future: Future[Result] = Future()
        self._waiting.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Begin no further job; the running one is left to itself."""
        self._ended.set()

    def _run(self) -> None:
        while True:
            future, job = self._waiting.get()
            if self._ended.is_set() or not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except Exception as error:  # noqa: BLE001 — it is whoever asks for the result who is told
                future.set_exception(error)


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


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Trainer whose jobs wait with those of another one, but are worked out somewhere else.

    Attributes:
        trainer: whose turn it takes.
        learn: works out a job and gives what it gives.
    """

    trainer: Trainer
    learn: Callable[[Callable[[], Fitted | None]], Fitted | None]

    def submit(self, fit: Fit) -> None:
        """See `Trainer`."""
        self.trainer.submit(Fit(partial(self.learn, fit.job)))

    def finished(self) -> Fitted | None:
        """See `Trainer`."""
        return self.trainer.finished()
