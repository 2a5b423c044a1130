"""The same service as the compiled engine, written to be obviously right: no index, no heap, no shortcut.

Every event is found by looking at everything. Small cases only.
"""

import math
from dataclasses import dataclass, field, replace

from simulations.engine import Fate, Load, Routing, Service

COMPLETION, IMPATIENCE, ARRIVAL, POD, SCRAPE = range(5)


@dataclass
class Pod:
    number: int
    ordered_s: float
    start: int = -1
    phase: str = "pending"
    gated: bool = False
    restarts: int = 0
    change_s: float = math.inf
    placed_s: float = math.nan
    loaded_s: float = math.nan
    serving_s: float = math.nan
    leaving_s: float = math.nan
    gone_s: float = math.nan
    line: list[int] = field(default_factory=list)
    slots: list[tuple[float, list[int]]] = field(default_factory=list)
    """Busy slots: when they are done, and the requests in them."""


class ReferenceEngine:
    def __init__(self, service: Service, load: Load, scrape_s: float, pods: int) -> None:
        self.service, self.load, self.scrape_s = service, load, scrape_s
        self.now_s = 0.0
        self.pods: list[Pod] = []
        self.front: list[int] = []
        self.free: list[Pod] = []
        self.in_rotation: list[Pod] = []
        self.turn = 0
        self.arrived = 0
        self.orders = 0
        self.repeats = 0
        self.finish_s = [math.nan] * len(load.arrival_s)
        self.served_by = [0] * len(load.arrival_s)
        self.left_s: dict[int, float] = {}
        self.scrapes: list[dict[str, float]] = []
        for _ in range(pods):
            pod = self._new_pod()
            pod.placed_s = pod.loaded_s = self.now_s
            self._begin_serving(pod)

    # time

    def advance(self, until_s: float, scraping: bool = True) -> None:
        while True:
            events = self._events(scraping)
            at_s, kind, what = min(events, key=lambda event: event[:2], default=(math.inf, 0, None))
            if at_s > until_s:
                break
            self.now_s = at_s
            if kind == COMPLETION:
                self._complete(what)
            elif kind == IMPATIENCE:
                self._drop(what)
            elif kind == ARRIVAL:
                self.arrived += 1
                self._admit(what)
            elif kind == POD:
                self._change(what)
            else:
                self._scrape()
        self.now_s = until_s

    def finish(self) -> None:
        for pod in self.pods:
            pod.change_s = math.inf
        self.service = replace(self.service, gpus=0)  # what pends now gets no place that a draining pod leaves
        self.advance(1e18, scraping=False)
        for request in self.front:
            self.finish_s[request] = math.inf

    def _events(self, scraping: bool):
        for pod in self.pods:
            for slot in pod.slots:
                yield slot[0], COMPLETION, (pod, slot)
            yield pod.change_s, POD, pod
        for request in self._waiting():
            yield self.load.arrival_s[request] + self.service.patience_s, IMPATIENCE, request
        if self.arrived < len(self.load.arrival_s):
            yield self.load.arrival_s[self.arrived], ARRIVAL, self.arrived
        if scraping:
            yield len(self.scrapes) * self.scrape_s, SCRAPE, None

    def _waiting(self) -> list[int]:
        return sorted(self.front + [request for pod in self.pods for request in pod.line])

    # requests

    def _admit(self, request: int) -> None:
        service = self.service
        if service.routing is Routing.SHARED:
            if self.free:
                return self._serve(self.free.pop(), [request])
            line = self.front
        elif self.in_rotation:
            pod = self._choose(request)
            if len(pod.slots) < service.slots:
                return self._serve(pod, [request])
            line = pod.line
        else:
            line = self.front
        if len(line) < service.line:
            line.append(request)
        else:
            self._leave(request)
        return None

    def _choose(self, request: int) -> Pod:
        if self.service.routing is Routing.RANDOM:
            return self.in_rotation[int(self.load.route[request] * len(self.in_rotation))]
        turn = self.turn % len(self.in_rotation)
        in_turn = [*self.in_rotation[turn:], *self.in_rotation[:turn]]
        chosen = in_turn[0]
        if self.service.routing is Routing.LEAST:
            chosen = min(in_turn, key=lambda pod: len(pod.slots) + len(pod.line))
        self.turn = self.in_rotation.index(chosen) + 1
        return chosen

    def _serve(self, pod: Pod, requests: list[int]) -> None:
        work_s = 0.0
        for request in requests:
            work_s += self.load.service_s[request]
            self.served_by[request] = pod.number
        batching = self.service.batching
        duration_s = work_s if batching.size == 1 else batching.base_s + batching.share * work_s
        pod.slots.append((self.now_s + duration_s, requests))

    def _complete(self, what) -> None:
        pod, slot = what
        pod.slots.remove(slot)
        for request in slot[1]:
            self.finish_s[request] = self.now_s
        shared = self.service.routing is Routing.SHARED
        line = self.front if shared else pod.line
        if line and (pod.phase == "serving" or not shared):
            self._serve(pod, self._take(line))
        elif pod.phase == "serving" and shared:
            self.free.append(pod)
        elif pod.phase == "draining" and not pod.slots:
            self._end(pod)

    def _take(self, line: list[int]) -> list[int]:
        size = self.service.batching.size
        taken, line[:] = line[:size], line[size:]
        return taken

    def _drop(self, request: int) -> None:
        for line in [self.front, *(pod.line for pod in self.pods)]:
            if request in line:
                line.remove(request)
        self._leave(request)

    def _leave(self, request: int) -> None:
        self.finish_s[request] = math.inf
        self.left_s[request] = self.now_s

    # pods

    def _new_pod(self) -> Pod:
        pod = Pod(len(self.pods) + 1, self.now_s)
        self.pods.append(pod)
        return pod

    def _alive(self) -> list[Pod]:
        return [pod for pod in self.pods if pod.phase != "gone"]

    def _place(self) -> None:
        for pod in self._alive():
            holding = sum(other.phase != "pending" for other in self._alive())
            if pod.phase == "pending" and holding < self.service.gpus:
                pod.phase = "starting"
                pod.placed_s = self.now_s
                self._start(pod, 0.0)

    def _start(self, pod: Pod, pause_s: float) -> None:
        hangs = self._fate(pod) == Fate.HANGS
        pod.change_s = math.inf if hangs else self.now_s + pause_s + self.load.start_s[pod.start]

    def _fate(self, pod: Pod) -> int:
        return Fate.LOADS if self.load.fate is None else self.load.fate[pod.start]

    def _change(self, pod: Pod) -> None:
        pod.change_s = math.inf
        if pod.phase == "promoting":
            self._begin_serving(pod)
        elif self._fate(pod) == Fate.FAILS:
            pause_s = min(10.0 * 2**pod.restarts, 300.0)
            pod.restarts += 1
            self.repeats += 1
            pod.start = len(self.load.start_s) - self.repeats
            self._start(pod, pause_s)
        else:
            pod.loaded_s = self.now_s
            if pod.gated:
                pod.phase = "standby"
            else:
                self._begin_serving(pod)

    def _begin_serving(self, pod: Pod) -> None:
        pod.phase = "serving"
        if math.isnan(pod.serving_s):
            pod.serving_s = self.now_s
        self.in_rotation.append(pod)
        if self.service.routing is Routing.SHARED:
            for _ in range(self.service.slots - len(pod.slots)):
                if self.front:
                    self._serve(pod, self._take(self.front))
                else:
                    self.free.append(pod)
        else:
            while self.front:
                self._admit(self.front.pop(0))

    def _end(self, pod: Pod) -> None:
        pod.phase, pod.change_s, pod.gone_s = "gone", math.inf, self.now_s
        self._place()

    # commands

    def scale(self, replicas: int) -> None:
        now = sum(pod.phase != "draining" for pod in self._alive())
        for _ in range(replicas - now):
            pod = self._new_pod()
            pod.start = self.orders % len(self.load.start_s)
            self.orders += 1
        for _ in range(now - replicas):
            self._remove(min(self._removable(), key=self._removal_order))
        self._place()

    def _removable(self) -> list[Pod]:
        return [pod for pod in self._alive() if pod.phase != "draining"]

    def _removal_order(self, pod: Pod):
        match pod.phase:
            case "pending":
                return 0, 0, -math.inf, -pod.number
            case "starting":
                return 0, 0, -pod.change_s, -pod.number
            case "standby":
                return 1, len(pod.line), -pod.loaded_s, -pod.number
            case "promoting":
                return 2, len(pod.line), -pod.loaded_s, -pod.number
        free_s = max([self.now_s, *(slot[0] for slot in pod.slots)])
        return 3, len(pod.line), free_s, pod.number

    def _remove(self, pod: Pod) -> None:
        pod.leaving_s = self.now_s
        self._leave_service(pod)
        if pod.slots:
            pod.phase, pod.change_s = "draining", math.inf
        else:
            self._end_now(pod)

    def _leave_service(self, pod: Pod) -> None:
        if pod.phase == "serving":
            self.in_rotation.remove(pod)
            self.free = [other for other in self.free if other is not pod]

    def _end_now(self, pod: Pod) -> None:
        pod.phase, pod.change_s, pod.gone_s = "gone", math.inf, self.now_s

    def promote(self, gated: list[Pod]) -> None:
        for pod in gated:
            if pod.phase == "standby":
                pod.phase, pod.change_s = "promoting", self.now_s + self.service.promotion_s
            else:
                pod.gated = False

    def gate(self, pods: list[Pod]) -> None:
        for pod in pods:
            pod.gated = True
            if pod.phase not in ("pending", "starting"):
                self._leave_service(pod)
                pod.phase, pod.change_s = "standby", math.inf

    # what Prometheus would see

    def _scrape(self) -> None:
        arrival_s, service = self.load.arrival_s, self.service
        answered = [r for r in range(self.arrived) if self.finish_s[r] <= self.now_s]
        waiting = self._waiting()
        in_slots = [slot for pod in self.pods for slot in pod.slots]
        here_s = sum(
            min(self.finish_s[r], self.left_s.get(r, math.inf), self.now_s) - arrival_s[r]
            if not math.isnan(self.finish_s[r])
            else self.now_s - arrival_s[r]
            for r in range(self.arrived)
        )
        self.scrapes.append(
            {
                "at_s": self.now_s,
                "received": self.arrived,
                "completed": len(answered),
                "late": sum(self.now_s >= self.finish_s[r] > arrival_s[r] + service.objective_s for r in answered),
                "left": len(self.left_s),
                "queued": len(waiting),
                "busy": len(in_slots),
                "concurrency_s": here_s,
                "oldest_wait_s": self.now_s - arrival_s[waiting[0]] if waiting else 0.0,
            }
        )
