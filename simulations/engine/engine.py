"""A service of pods and requests that can be moved through time and scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from simulations.engine import kernel
from simulations.engine.kernel import Rules, State

Floats = npt.NDArray[np.float64]

UNLIMITED = 2**31 - 1


class Routing(IntEnum):
    """How a request finds a pod: one line in front of all of them, or each its own line.

    Least outstanding counts what a pod serves and what waits there; among equals it goes round.
    """

    SHARED = kernel.SHARED
    LEAST = kernel.LEAST
    ROUND_ROBIN = kernel.ROUND_ROBIN
    RANDOM = kernel.RANDOM


class Fate(IntEnum):
    """What becomes of a start."""

    LOADS = kernel.LOADS
    FAILS = kernel.FAILS
    HANGS = kernel.HANGS


@dataclass(frozen=True, slots=True)
class Batching:
    """A slot takes up to `size` waiting requests at once, without waiting for more.

    They are answered together after `base_s + share x (sum of their own service times)`. With mean service
    time s that is the line a + b n of a batch of n, a = base_s, b = share x s; size 1 is no batching.
    """

    size: int = 1
    base_s: float = 0.0
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """What pods do with requests."""

    objective_s: float
    slots: int = 1
    """Requests, or batches, that one pod serves at a time."""
    routing: Routing = Routing.SHARED
    batching: Batching = Batching()
    patience_s: float = math.inf
    """A request that has waited this long leaves."""
    line: int = UNLIMITED
    """Largest number of requests waiting in one line (the shared one, or each pod's); more are rejected."""
    gpus: int = UNLIMITED
    """Pods that can hold a GPU at a time; those beyond stay pending."""
    promotion_s: float = 1.0
    """From the promotion of a standby pod until it serves."""


@dataclass(frozen=True, slots=True)
class Load:
    """The requests of a run and the starts of its pods; all drawn ahead."""

    arrival_s: Floats
    """Ascending."""
    service_s: Floats
    start_s: Floats
    """Time from order to loaded, in order of ordering; from the first again when they are used up."""
    fate: npt.NDArray[np.int8] | None = None
    """What becomes of each start (`Fate`); all load if None. A start that fails is repeated after a pause."""
    route: Floats | None = None
    """For random routing: one uniform number in [0, 1) for each request."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is measured on the way."""

    scrape_s: float = 5.0
    scrape_phase_s: float = 0.0
    """Time of the first scrape."""
    edges_s: tuple[float, ...] = ()
    """Upper edges of the histograms' buckets, without +Inf."""
    step_s: float = math.inf
    """The queue's length is kept at the end of each step."""
    duration_s: float = 0.0
    """How long steps are kept for."""


@dataclass(frozen=True, slots=True)
class Away:
    """Pods that stood by again after they had served; every array has shape (times,)."""

    pod: npt.NDArray[np.intp]
    """Index in the other arrays of the log."""
    out_s: Floats
    back_s: Floats
    """NaN: never."""


@dataclass(frozen=True, slots=True)
class PodLog:
    """When each pod entered each phase; NaN: never. Every array has shape (pods,), in order of ordering."""

    ordered_s: Floats
    placed_s: Floats
    """Got a GPU."""
    loaded_s: Floats
    serving_s: Floats
    """Began to serve for the first time."""
    leaving_s: Floats
    """Was taken away: a serving pod drains from then on."""
    gone_s: Floats
    gated: npt.NDArray[np.bool_]
    restarts: npt.NDArray[np.int32]
    away: Away = field(default_factory=lambda: Away(np.zeros(0, np.intp), np.zeros(0), np.zeros(0)))


class Engine:
    """Requests and pods, event by event. Times are seconds from the beginning of the run.

    Single-threaded and deterministic: the same inputs and commands give the same floats.
    """

    def __init__(self, service: Service, load: Load, watch: Watch, pods: int) -> None:
        """Begin at time 0 with `pods` pods that serve.

        Raises:
            ValueError: arrays that do not fit together, arrivals that go back in time, or a number out of range.
        """
        _check(service, load, watch)
        self._rules = _rules(service, watch)
        self._state = _state(load, watch)
        self._scraped = 0
        self._away: list[tuple[int, float, float]] = []
        self._room(pods)
        kernel.open_with(self._state, self._rules, pods)

    @property
    def now_s(self) -> float:
        """Time reached."""
        return float(self._state.total[kernel.NOW])

    @property
    def changes(self) -> int:
        """Grows whenever a pod changes its phase."""
        return int(self._state.mark[kernel.CHANGES])

    def advance(self, until_s: float) -> Floats:
        """Run every event up to and including `until_s`.

        Returns:
            The scrapes that fell due, one row each, in the columns of `kernel` (cumulative counts of
            service times, then of latencies, follow `SCRAPE_COLUMNS`); shape (scrapes, columns).
        """
        due = max(0, math.floor((until_s - self._rules.scrape_phase_s) / self._rules.scrape_s) + 2 - self._scraped)
        rows = np.empty((due, kernel.SCRAPE_COLUMNS + 2 * (len(self._state.edges_s) + 1)))
        filled = kernel.advance(self._state, self._rules, until_s, self._scraped, rows)
        self._scraped += filled
        return rows[:filled]

    def finish(self) -> None:
        """Serve what still waits with the pods that serve now, whatever time it takes; nothing more is measured."""
        kernel.finish(self._state, self._rules)

    def order(self, pods: int) -> None:
        """Order pods; each loads after its own cold start."""
        self._room(pods)
        kernel.order(self._state, self._rules, pods)

    def shrink(self, pods: int) -> None:
        """Take pods away: starting ones first (latest ready first), then standby, then the serving one free soonest."""
        kernel.shrink(self._state, self._rules, pods)

    def promote(self, pod: int) -> bool:
        """Let a gated pod serve; False if it cannot any more."""
        if self._phase(pod) == kernel.STANDBY:
            self._came_back(pod, self.now_s + self._rules.promotion_s)
        return bool(kernel.promote(self._state, self._rules, pod))

    def gate(self, pod: int) -> bool:
        """Keep a pod out of service: one that loads becomes standby, one that serves finishes what it holds there.

        False if it leaves already.
        """
        phase = self._phase(pod)
        if phase == kernel.SERVING:
            self._away.append((pod, self.now_s, math.nan))
        elif phase == kernel.PROMOTING:
            self._came_back(pod, math.nan)
        return bool(kernel.gate(self._state, pod))

    def _phase(self, pod: int) -> int:
        return int(self._state.pod_n[pod, kernel.PHASE])

    def _came_back(self, pod: int, back_s: float) -> None:
        """Say when the last time away ends; a pod that has never served is not away."""
        last = next((at for at in range(len(self._away) - 1, -1, -1) if self._away[at][0] == pod), None)
        if last is not None:
            self._away[last] = (pod, self._away[last][1], back_s)

    def live(self) -> npt.NDArray[np.int32]:
        """Pods that are not gone, in order of ordering: rows of `table`."""
        return self._state.live[: self._state.mark[kernel.LIVE]]

    @property
    def table(self) -> tuple[Floats, npt.NDArray[np.int32]]:
        """Times and numbers of every pod, in the columns of `kernel`; views that must not be written to."""
        return self._state.pod_s, self._state.pod_n

    @property
    def finish_s(self) -> Floats:
        """When each request was answered; inf: it left; NaN: it is still here. Shape (requests,)."""
        return self._state.finish_s

    @property
    def served_by(self) -> npt.NDArray[np.int32]:
        """The pod that each request was given to; meaningless for one that left. Shape (requests,)."""
        return self._state.pod

    @property
    def queued_at_step(self) -> Floats:
        """Requests waiting at the end of each step; shape (steps,)."""
        return self._state.queued_at_step

    def pod_log(self) -> PodLog:
        """The life of every pod so far."""
        count = self._state.mark[kernel.PODS]
        times, numbers = self._state.pod_s[1:count].T.copy(), self._state.pod_n[1:count]
        ordered_s, placed_s, loaded_s, serving_s, leaving_s, gone_s, _ = times
        return PodLog(
            ordered_s=ordered_s,
            placed_s=placed_s,
            loaded_s=loaded_s,
            serving_s=serving_s,
            leaving_s=leaving_s,
            gone_s=gone_s,
            gated=numbers[:, kernel.GATED].astype(np.bool_),
            restarts=numbers[:, kernel.RESTARTS].copy(),
            away=Away(
                np.array([pod - 1 for pod, _, _ in self._away], np.intp),
                np.array([out_s for _, out_s, _ in self._away], np.float64),
                np.array([back_s for _, _, back_s in self._away], np.float64),
            ),
        )

    def _room(self, pods: int) -> None:
        """Grow the arrays so that `pods` more pods fit."""
        state, mark = self._state, self._state.mark
        rows = int(mark[kernel.PODS]) + pods
        if rows > len(state.pod_n):
            more = max(rows, 2 * len(state.pod_n)) - len(state.pod_n)
            state = state._replace(
                pod_s=np.concatenate([state.pod_s, np.full((more, state.pod_s.shape[1]), np.nan)]),
                pod_n=np.concatenate([state.pod_n, np.zeros((more, state.pod_n.shape[1]), np.int32)]),
            )
        live = int(mark[kernel.LIVE]) + pods
        if live > len(state.live):
            pods_room = max(live, 2 * len(state.live))
            slots_room = pods_room * self._rules.slots
            state = state._replace(
                live=np.resize(state.live, pods_room),
                serving=np.resize(state.serving, pods_room),
                free=np.resize(state.free, slots_room),
                heap_s=np.resize(state.heap_s, slots_room),
                heap_request=np.resize(state.heap_request, slots_room),
            )
        self._state = state


def _check(service: Service, load: Load, watch: Watch) -> None:
    requests = len(load.arrival_s)
    if len(load.service_s) != requests:
        raise ValueError(f"{requests} arrivals, but {len(load.service_s)} service times")
    if requests and (
        np.any(np.diff(load.arrival_s) < 0) or load.arrival_s[0] < 0 or not np.isfinite(load.arrival_s[-1])
    ):
        raise ValueError("arrivals must be finite, ascending and not before 0")
    if requests and not (load.service_s.min() >= 0 and np.isfinite(load.service_s.max())):
        raise ValueError("service times must be finite and not negative")
    if not len(load.start_s):
        raise ValueError("at least one cold start must be drawn")
    if load.fate is not None and len(load.fate) != len(load.start_s):
        raise ValueError(f"{len(load.start_s)} starts, but {len(load.fate)} fates")
    if service.routing is Routing.RANDOM and (load.route is None or len(load.route) != requests):
        raise ValueError("random routing needs one uniform number for each request")
    for name, value in (
        ("slots", service.slots),
        ("batching.size", service.batching.size),
        ("scrape_s", watch.scrape_s),
        ("step_s", watch.step_s),
    ):
        if not value > 0:
            raise ValueError(f"{name} must be above 0, not {value}")


def _rules(service: Service, watch: Watch) -> Rules:
    batching = service.batching
    return Rules(
        routing=int(service.routing),
        slots=service.slots,
        batch=batching.size,
        batch_base_s=float(batching.base_s),
        batch_share=float(batching.share),
        patience_s=float(service.patience_s),
        line=service.line,
        gpus=service.gpus,
        promotion_s=float(service.promotion_s),
        objective_s=float(service.objective_s),
        scrape_s=float(watch.scrape_s),
        scrape_phase_s=float(watch.scrape_phase_s),
        step_s=float(watch.step_s),
    )


def _state(load: Load, watch: Watch) -> State:
    requests = len(load.arrival_s)
    edges_s = np.array(watch.edges_s, dtype=np.float64)
    steps = math.ceil(watch.duration_s / watch.step_s) if math.isfinite(watch.step_s) else 0
    mark = np.zeros(kernel.STEP + 1, np.int64)
    mark[kernel.PODS] = 1  # row 0 is the line in front of the pods
    empty = np.zeros(0, np.int32)
    return State(
        arrival_s=np.ascontiguousarray(load.arrival_s, np.float64),
        service_s=np.ascontiguousarray(load.service_s, np.float64),
        route=np.zeros(0) if load.route is None else np.ascontiguousarray(load.route, np.float64),
        finish_s=np.full(requests, np.nan),
        pod=np.zeros(requests, np.int32),
        behind=np.zeros(requests, np.int32),
        pod_s=np.full((1, kernel.CHANGE + 1), np.nan),
        pod_n=np.zeros((1, kernel.DRAWN + 1), np.int32),
        heap_s=np.zeros(0),
        heap_request=empty,
        free=empty,
        live=empty,
        serving=empty,
        start_s=np.ascontiguousarray(load.start_s, np.float64),
        fate=np.zeros(len(load.start_s), np.int8) if load.fate is None else load.fate,
        edges_s=edges_s,
        bucket=np.zeros((2, len(edges_s) + 1)),
        queued_at_step=np.zeros(steps),
        mark=mark,
        total=np.zeros(kernel.SPAN_END + 1),
    )
