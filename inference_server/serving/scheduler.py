"""Bounded admission, fair order, batches, and the model threads.

A request takes a *place* before its body is read, so that the memory of all requests together is bounded. Its pieces
(clips, sentences) then wait in order of arrival, but each later piece of a request lets `PASSING` later requests go
first: the first sentence of a newcomer goes before the tenth of a long text, and the long text never starves.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import insort
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import ceil
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from inference_server.engines.engine import Engine, Piece, Rehearsal
from inference_server.errors import Refusal, abandoned, queue_full
from inference_server.serving.batching import choose_batch
from inference_server.serving.load import Load, TimeIntegral
from inference_server.serving.pace import Pace

logger = logging.getLogger(__name__)

P = TypeVar("P", bound=Piece)
R = TypeVar("R")

PASSING = 8
"""Requests that arrive later and still go before the next piece of a request of many."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """When a request is turned away.

    Attributes:
        max_in_flight: requests inside at the same time, those being read and decoded included.
        max_wait_s: the longest wait that is offered; a request expected to wait longer is refused at once.
    """

    max_in_flight: int = 256
    max_wait_s: float = 10.0


class Observer(Protocol):
    """Is told of what happened; called from any thread."""

    def admitted(self) -> None:
        """A request's work was queued."""

    def batch_done(self, costs: list[float], waits_s: list[float], service_s: float) -> None:
        """Costs and waits of the pieces, and the time of the model for all of them together."""

    def served(self, service_s: float) -> None:
        """A request left after the model had worked `service_s` for it."""


@dataclass(order=True, slots=True)
class _Waiting(Generic[P, R]):
    due: int
    arrival: int
    piece: P = field(compare=False)
    since_s: float = field(compare=False)
    place: Place[P, R] = field(compare=False)
    future: Future[R] = field(compare=False)


class Place(Generic[P, R]):
    """A request's place inside. Leave it, whatever happens: use it as a context manager.

    Attributes:
        service_s: time the model has worked for this request so far.
        left: it was given back; nothing can be queued for it any more.
    """

    def __init__(self, scheduler: Scheduler[P, R], entered_s: float) -> None:
        self._scheduler = scheduler
        self.entered_s = entered_s
        self.started = False
        self.left = False
        self.service_s = 0.0

    def submit(self, pieces: Sequence[P]) -> list[Future[R]]:
        """See `Scheduler.submit`."""
        return self._scheduler.submit(self, pieces)

    def __enter__(self) -> Place[P, R]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scheduler.leave(self)


class Scheduler(Generic[P, R]):
    """Runs one engine for many requests. All methods may be called from any thread."""

    def __init__(
        self,
        engine: Engine[P, R],
        limits: AdmissionLimits,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._observer = observer
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[_Waiting[P, R]] = []
        self._unstarted: dict[Place[P, R], None] = {}  # in order of arrival
        self._running_since_s: dict[int, float] = {}
        self._arrivals = 0
        self._queued_cost = 0.0
        self._pace = Pace()
        self._started = False
        self._closed = False
        self._in_flight = TimeIntegral(clock)
        self._busy = TimeIntegral(clock)
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"model-{slot}", daemon=True)
            for slot in range(engine.slots)
        ]

    def start(self, rehearsal: Rehearsal | None = None) -> None:
        """Begin to run batches; the engine is loaded, and its warm-up is the first that is known of its pace."""
        if rehearsal is not None:
            self._pace.observe(rehearsal.cost, rehearsal.service_s)
        for thread in self._threads:
            thread.start()
        self._started = True

    def close(self) -> None:
        """Run what waits, then end the model threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def enter(self) -> Place[P, R]:
        """Take a place.

        Raises:
            Refusal: every place is taken, or the wait would be longer than what is offered.
        """
        with self._changed:
            if self._in_flight.level >= self._limits.max_in_flight:
                raise queue_full(self._retry_after_s())
            self._refuse_long_wait()
            place = Place(self, self._clock())
            self._unstarted[place] = None
            self._in_flight.add(1)
            return place

    def load(self) -> Load:
        """How busy it is now."""
        with self._changed:
            oldest = next(iter(self._unstarted), None)
            return Load(
                in_flight=self._in_flight.level,
                queued=len(self._unstarted),
                oldest_wait_s=0.0 if oldest is None else self._clock() - oldest.entered_s,
                slots=self._engine.slots,
                slots_busy=self._busy.level,
                in_flight_s=self._in_flight.area(),
                busy_s=self._busy.area(),
            )

    def longest_run_s(self) -> float:
        """For how long the oldest running batch has run; 0 without one. A model that hangs shows here."""
        with self._changed:
            return self._clock() - min(self._running_since_s.values(), default=self._clock())

    def has_lost_a_thread(self) -> bool:
        """Whether a model thread ended although nobody closed the scheduler."""
        with self._changed:
            return self._started and not self._closed and not all(thread.is_alive() for thread in self._threads)

    def submit(self, place: Place[P, R], pieces: Sequence[P]) -> list[Future[R]]:
        """Queue the pieces of a request; one future each.

        A future that is cancelled before its piece starts costs nothing.

        Raises:
            Refusal: the wait would be longer than what is offered, or nobody waits for the request any more.
        """
        with self._changed:
            if place.left:
                raise abandoned()
            self._refuse_long_wait()
            now_s = self._clock()
            futures: list[Future[R]] = [Future() for _ in pieces]
            self._arrivals += 1
            for turn, (piece, future) in enumerate(zip(pieces, futures, strict=True)):
                insort(
                    self._waiting,
                    _Waiting(self._arrivals + turn * PASSING, self._arrivals, piece, now_s, place, future),
                )
                self._queued_cost += piece.cost
            self._changed.notify_all()
        self._observer.admitted()
        return futures

    def leave(self, place: Place[P, R]) -> None:
        """Give the place back and withdraw what has not started."""
        with self._changed:
            place.left = True
            self._unstarted.pop(place, None)
            self._in_flight.add(-1)
            withdrawn = [waiting for waiting in self._waiting if waiting.place is place]
            if withdrawn:
                self._waiting = [waiting for waiting in self._waiting if waiting.place is not place]
                self._queued_cost = sum(waiting.piece.cost for waiting in self._waiting)
        for waiting in withdrawn:
            waiting.future.cancel()
        if place.started:
            self._observer.served(place.service_s)

    def _expected_wait_s(self) -> float:
        return self._queued_cost * self._pace.seconds_per_cost / self._engine.slots

    def _refuse_long_wait(self) -> None:
        if self._expected_wait_s() > self._limits.max_wait_s:
            raise queue_full(self._retry_after_s())

    def _retry_after_s(self) -> int:
        return max(1, ceil(self._expected_wait_s()))

    def _work(self, slot: int) -> None:
        while batch := self._take(slot):
            started_s = self._clock()
            try:
                outcomes = run_isolated(self._engine, [waiting.piece for waiting in batch])
            except BaseException as error:  # a panic of a Rust library is no Exception: `/healthz` will tell
                for waiting in batch:
                    waiting.future.set_exception(RuntimeError(f"the model thread ended: {error!r}"))
                raise
            self._finish(slot, batch, self._clock() - started_s)
            for waiting, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Failed):
                    waiting.future.set_exception(outcome.error)
                else:
                    waiting.future.set_result(outcome)

    def _take(self, slot: int) -> list[_Waiting[P, R]]:
        """The next batch; empty when closed and nothing waits."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return []
                positions = choose_batch((waiting.piece for waiting in self._waiting), self._engine.batching)
                taken = [self._waiting[position] for position in positions]
                for position in reversed(positions):
                    del self._waiting[position]
                self._queued_cost = sum(waiting.piece.cost for waiting in self._waiting)
                batch = [waiting for waiting in taken if waiting.future.set_running_or_notify_cancel()]
                if not batch:
                    continue
                for waiting in batch:
                    waiting.place.started = True
                    self._unstarted.pop(waiting.place, None)
                self._busy.add(1)
                self._running_since_s[slot] = self._clock()
                return batch

    def _finish(self, slot: int, batch: list[_Waiting[P, R]], service_s: float) -> None:
        costs = [waiting.piece.cost for waiting in batch]
        with self._changed:
            started_s = self._running_since_s.pop(slot)
            self._busy.add(-1)
            self._pace.observe(sum(costs), service_s)
            for place in {waiting.place for waiting in batch}:
                place.service_s += service_s
        self._observer.batch_done(costs, [started_s - waiting.since_s for waiting in batch], service_s)


@dataclass(frozen=True, slots=True)
class Failed:
    """A piece that the model could not compute."""

    error: Exception


def run_isolated(engine: Engine[P, R], pieces: Sequence[P]) -> list[R | Failed]:
    """Run a batch; if it fails, run its pieces one by one, so that one bad piece fails alone."""
    try:
        return list(engine.run(pieces))
    except Exception as error:  # models raise without a common base class (research: speech, 2c, 21)
        if len(pieces) == 1:
            if not isinstance(error, Refusal):
                logger.exception("the model failed on a piece of cost %g", pieces[0].cost)
            return [Failed(error)]
    return [outcome for piece in pieces for outcome in run_isolated(engine, [piece])]
