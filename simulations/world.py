"""The ports of the controller, played by the engine: a policy sees what it would see in production.

The engine counts seconds from the beginning of the replay; the ports speak clock time.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from autoscaler.loop import Ports
from autoscaler.model import (
    Action,
    Cause,
    Fleet,
    Histogram,
    Missing,
    Outcome,
    Phase,
    Pod,
    Problem,
    Relabel,
    Routing,
    Scale,
    Scrape,
    Signals,
    Workload,
)
from autoscaler.ports import Journal
from simulations import draw, engine
from simulations.draw import Traffic
from simulations.engine import kernel

_ROUTING = {
    Routing.SHARED_QUEUE: engine.Routing.SHARED,
    Routing.LEAST_OUTSTANDING: engine.Routing.LEAST,
    Routing.ROUND_ROBIN: engine.Routing.ROUND_ROBIN,
    Routing.RANDOM: engine.Routing.RANDOM,
}
_PHASE = {
    kernel.PENDING: Phase.STARTING,
    kernel.STARTING: Phase.STARTING,
    kernel.STANDBY: Phase.STANDBY,
    kernel.PROMOTING: Phase.SERVING,  # its label says so already; requests come when the promotion is through
    kernel.SERVING: Phase.SERVING,
    kernel.DRAINING: Phase.DRAINING,
}
EDGES_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The circumstances of a replay; as they stand, those of the published protocol."""

    scrape_s: float = 5.0
    scrape_phase_s: float = 0.0
    """Time of the first scrape."""
    visible_after_s: float = 0.5
    """A scrape can be queried this much later."""
    lost_ratio: float = 0.0
    """Share of the scrapes that are lost, each on its own."""
    first_tick_s: float = 3.0
    warm_up_s: float = 120.0
    """What arrives or is paid before is not scored."""
    start_use_ratio: float = 0.7
    """The run starts with as many serving pods as make them busy to this share with the first minute's requests."""
    promotion_s: float = 1.0
    line: int = engine.UNLIMITED
    """Largest number of requests waiting in a line (the shared one, or each pod's); more are rejected."""
    gpus: int = engine.UNLIMITED
    fail_ratio: float = 0.0
    """Share of the starts that crash when they should have loaded, and are repeated with the kubelet's back-off."""
    hang_ratio: float = 0.0
    """Share of the starts that never end."""


class World:
    """A service under traffic, with the ports that a target needs."""

    def __init__(self, name: str, traffic: Traffic, workload: Workload, seed: int, conditions: Conditions) -> None:
        """Begin at second 0 of the replay.

        Args:
            name: the trace's name, which picks the random streams.
            traffic: the requests.
            workload: the service's law.
            seed: of the random streams for cold starts, failures, routing and lost scrapes.
            conditions: everything else.
        """
        self.origin_s = traffic.history.end_s
        self.workload = workload
        self.conditions = conditions
        self.edges_s = tuple(sorted({*EDGES_S, workload.objective_s}))
        watch = engine.Watch(
            scrape_s=conditions.scrape_s,
            scrape_phase_s=conditions.scrape_phase_s,
            edges_s=self.edges_s,
            step_s=step_of(traffic.duration_s),
            duration_s=traffic.duration_s,
        )
        self.engine = engine.Engine(
            _service(workload, conditions),
            _load(name, traffic, workload, seed, conditions),
            watch,
            first_pods(traffic, workload, conditions),
        )
        self.step_s = watch.step_s
        self._losses = draw.stream(seed, name, draw.LOSSES)
        self._scrapes: deque[npt.NDArray[np.float64]] = deque()

    def advance(self, until_s: float) -> None:
        """Run the service up to `until_s` seconds after the beginning."""
        rows = self.engine.advance(until_s)
        if self.conditions.lost_ratio:
            rows = rows[self._losses.random(len(rows)) >= self.conditions.lost_ratio]
        self._scrapes.extend(rows)

    def ports(self, journal: Journal) -> Ports:
        """What the loop needs, for one target."""
        fleet = SimulatedFleet(self)
        return Ports(SimulatedClock(self), SimulatedScrapes(self, self._scrapes), fleet, SimulatedScale(self), journal)


@dataclass(frozen=True, slots=True)
class SimulatedClock:
    """Clock time of the replay."""

    world: World

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return self.world.origin_s + self.world.engine.now_s


@dataclass(slots=True)
class SimulatedScrapes:
    """What a Prometheus beside the service would have scraped."""

    world: World
    _rows: deque[npt.NDArray[np.float64]]
    _newest_s: float = 0.0
    _busy_s: tuple[float, float] = (0.0, 0.0)
    """Time and busy slot-seconds at the scrape before."""

    def read(self, after_s: float, until_s: float, fleet: Fleet) -> Signals:
        """Scrapes with `after_s < at_s <= until_s` that can be queried by now; a problem where the newest is old."""
        world = self.world
        last_s = min(until_s - world.origin_s, world.engine.now_s - world.conditions.visible_after_s)
        scrapes = []
        while self._rows and self._rows[0][kernel.NOW] <= last_s:
            row = self._rows.popleft()
            self._newest_s = float(row[kernel.NOW])
            if world.origin_s + self._newest_s > after_s:
                scrapes.append(self._scrape(row, fleet))
        return Signals(tuple(scrapes), self._problems(), world.edges_s)

    def _scrape(self, row: npt.NDArray[np.float64], fleet: Fleet) -> Scrape:
        (at_s, received, completed, late, left, service_s, concurrency_s, busy_s, queued, busy, oldest_wait_s) = row[
            : kernel.SCRAPE_COLUMNS
        ].tolist()
        counts = row[kernel.SCRAPE_COLUMNS :].tolist()
        half = len(counts) // 2
        return Scrape(
            at_s=self.world.origin_s + at_s,
            received=received,
            completed=completed,
            late=late,
            left=left,
            service_s=service_s,
            concurrency_s=concurrency_s,
            busy_s=busy_s,
            queued=queued,
            in_flight=received - completed - left,
            busy=busy,
            oldest_wait_s=oldest_wait_s,
            gpu_use_ratio=self._use(at_s, busy_s, fleet),
            service=Histogram(tuple(counts[:half])),
            latency=Histogram(tuple(counts[half:])),
        )

    def _use(self, at_s: float, busy_s: float, fleet: Fleet) -> float:
        """Share of the time since the scrape before in which the loaded pods' slots were busy."""
        before_s, busy_before_s = self._busy_s
        self._busy_s = at_s, busy_s
        loaded = len(fleet.pods) - fleet.count(Phase.STARTING)
        span_s = (at_s - before_s) * loaded * self.world.workload.concurrency
        return min(1.0, (busy_s - busy_before_s) / span_s) if span_s > 0 else 0.0

    def _problems(self) -> tuple[Problem, ...]:
        conditions = self.world.conditions
        age_s = self.world.engine.now_s - self._newest_s
        if age_s <= 2 * conditions.scrape_s + conditions.visible_after_s + conditions.scrape_phase_s:
            return ()
        return (Problem("received", Missing(Cause.STALE, f"the newest sample is {age_s:.1f} s old")),)


@dataclass(slots=True)
class SimulatedFleet:
    """The pods, as a watch on the API server would show them; rebuilt only when something has changed."""

    world: World
    _fleet: Fleet = field(default_factory=lambda: Fleet(0, ()))
    _changes: int = -1
    _stuck_at_s: float = math.inf
    _known: dict[int, tuple[tuple[int, ...], Pod]] = field(default_factory=dict)

    def read(self) -> Fleet:
        """Every pod that holds, or will hold, a GPU."""
        runs = self.world.engine
        if runs.changes != self._changes or runs.now_s >= self._stuck_at_s:
            self._changes = runs.changes
            self._fleet = self._look()
        return self._fleet

    def _look(self) -> Fleet:
        runs, origin_s = self.world.engine, self.world.origin_s
        times, numbers = runs.table
        live = runs.live()
        late_s = 3 * _slowest_start_s(self.world.workload)
        known: dict[int, tuple[tuple[int, ...], Pod]] = {}
        self._stuck_at_s = math.inf
        for pod, row, at_s in zip(live.tolist(), numbers[live].tolist(), times[live].tolist(), strict=True):
            phase = row[kernel.PHASE]
            overdue_s = at_s[kernel.ORDERED] + late_s
            waits = phase == kernel.PENDING or row[kernel.RESTARTS] > 0 or runs.now_s >= overdue_s
            stuck = phase <= kernel.STARTING and waits
            if phase <= kernel.STARTING and not stuck:
                self._stuck_at_s = min(self._stuck_at_s, overdue_s)
            key = (phase, row[kernel.GATED], stuck)
            before = self._known.get(pod)
            if before is not None and before[0] == key:
                known[pod] = before
                continue
            loaded_s = at_s[kernel.LOADED]
            known[pod] = (
                key,
                Pod(
                    name=f"pod-{pod}",
                    uid=str(pod),
                    phase=_PHASE[phase],
                    ordered_at_s=origin_s + at_s[kernel.ORDERED],
                    loaded_at_s=None if math.isnan(loaded_s) else origin_s + loaded_s,
                    gated=bool(row[kernel.GATED]) and phase <= kernel.STANDBY,
                    stuck=stuck,
                ),
            )
        self._known = known
        pods = tuple(pod for _, pod in known.values())
        wanted = sum(pod.phase is not Phase.DRAINING for pod in pods)
        return Fleet(replicas=wanted, pods=pods, reported=wanted)


@dataclass(slots=True)
class SimulatedScale:
    """The Deployment's scale and the pods' role labels; every write takes effect at once."""

    world: World

    def apply(self, actions: tuple[Action, ...]) -> tuple[Outcome, ...]:
        """Carry out the actions in order."""
        return tuple(map(self._apply, actions))

    def _apply(self, action: Action) -> Outcome:
        if isinstance(action, Relabel):
            return self._relabel(action)
        return self._scale(action)

    def _scale(self, action: Scale) -> Outcome:
        runs = self.world.engine
        _, numbers = runs.table
        now = int(np.count_nonzero(numbers[runs.live(), kernel.PHASE] != kernel.DRAINING))
        if action.replicas > now:
            runs.order(action.replicas - now)
        else:
            runs.shrink(now - action.replicas)
        return Outcome(action, done=True)

    def _relabel(self, action: Relabel) -> Outcome:
        pod = int(action.uid)
        match action.role:
            case "serving":
                done = self.world.engine.promote(pod)
            case "standby":
                done = self.world.engine.gate(pod)
            case "draining":
                return Outcome(action, done=False, detail="a replay drains by lowering the scale")
        return Outcome(action, done, "" if done else "the pod has left that state")


def first_pods(traffic: Traffic, workload: Workload, conditions: Conditions) -> int:
    """Pods that serve at the beginning: enough for the mean offered work of the first minute."""
    work = np.searchsorted(traffic.arrival_s, 60.0) / 60.0 * workload.service_mean_s
    pods = math.ceil(work / workload.concurrency / conditions.start_use_ratio)
    return min(max(1, pods), workload.max_replicas, conditions.gpus)


def step_of(duration_s: float) -> float:
    """Length of a timeline's steps: a round one, at most some three thousand of them."""
    for step_s in (5.0, 10.0, 30.0, 60.0, 300.0):
        if duration_s <= 3000 * step_s:
            return step_s
    return 3600.0


def _slowest_start_s(workload: Workload) -> float:
    """The 99 % quantile of the cold start."""
    return workload.cold_start.typical_s * math.exp(2.326 * workload.cold_start.sigma)


def _service(workload: Workload, conditions: Conditions) -> engine.Service:
    return engine.Service(
        objective_s=workload.objective_s,
        slots=workload.concurrency,
        routing=_ROUTING[workload.routing],
        batching=_batches(workload),
        patience_s=workload.patience_s,
        line=conditions.line,
        gpus=conditions.gpus,
        promotion_s=conditions.promotion_s,
    )


def _batches(workload: Workload) -> engine.Batching:
    batching = workload.batching
    return engine.Batching(batching.size, batching.base_share * workload.service_mean_s, 1 - batching.base_share)


def _load(name: str, traffic: Traffic, workload: Workload, seed: int, conditions: Conditions) -> engine.Load:
    starts_s = draw.cold_starts(name, workload, seed)
    random = workload.routing is Routing.RANDOM
    return engine.Load(
        arrival_s=traffic.arrival_s,
        service_s=traffic.service_s,
        start_s=starts_s,
        fate=_fates(draw.stream(seed, name, draw.FATES).random(len(starts_s)), conditions),
        route=draw.stream(seed, name, draw.ROUTES).random(len(traffic.arrival_s)) if random else None,
    )


def _fates(uniform: npt.NDArray[np.float64], conditions: Conditions) -> npt.NDArray[np.int8]:
    fates = np.full(len(uniform), engine.Fate.LOADS, np.int8)
    fates[uniform < conditions.hang_ratio + conditions.fail_ratio] = engine.Fate.FAILS
    fates[uniform < conditions.hang_ratio] = engine.Fate.HANGS
    return fates
