"""How the pods of all targets load, asked of Prometheus beside the ticks: once for each pod that is Ready."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Protocol

import structlog

from autoscaler.cluster.starts import StartingPod
from autoscaler.model import Cause, InvalidInput, Missing, Unreachable
from autoscaler.prometheus.client import Access, Prometheus
from autoscaler.prometheus.loading import Loads, read_loads
from autoscaler.prometheus.metrics import Exporter, Subject
from autoscaler.service.sources import loading_of, subject_of
from autoscaler.service.wiring import Job, access_of

SETTLED_S = 60.0
"""A pod is asked about so long after it became Ready: what was scraped last then tells its whole start."""
LOOK_S = 15.0
"""So often it is looked whether pods have become Ready; that asks nobody."""
AGAIN_S = 300.0
"""So soon a target is asked for again whose pods have not all told: most will not."""
Question = tuple[Access, Exporter]
Asking = tuple[Job, Mapping[str, StartingPod]]
"""A target, and those of its pods that are asked about."""
_log = structlog.get_logger(__name__)


class Pods(Protocol):
    """The pods of one namespace."""

    def unheard(self, deployment: str) -> Mapping[str, StartingPod]:
        """Those that are Ready and have not told, by name."""

    def loaded(self, deployment: str, told: Sequence[tuple[StartingPod, Mapping[str, float]]]) -> None:
        """Take what they told."""


class Loading:
    """Asks for what is not known yet, in a thread of its own.

    Args:
        jobs: what is sized.
        pods: of a namespace; None where it is not watched any more.
        connect: a connection to a Prometheus, for one look.
        monotonic: seconds of a clock that never jumps.
        clock: seconds since the epoch.

    Attributes:
        thread: where it looks; it ends when it is stopped.
    """

    def __init__(
        self,
        jobs: Callable[[], Iterable[Job]],
        pods: Callable[[str], Pods | None],
        connect: Callable[[Access], Prometheus] = Prometheus,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._jobs = jobs
        self._pods = pods
        self._connect = connect
        self._monotonic = monotonic
        self._clock = clock
        self._asked_s: dict[str, float] = {}
        self._missing: dict[str, Missing] = {}
        self._ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name="loading", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self.thread.start()

    def stop(self) -> None:
        """End after the look that is under way."""
        self._ended.set()

    def missing(self, target: str) -> Missing | None:
        """Why nothing is known of how a target's pods load; None where something is, or nobody asked yet."""
        return self._missing.get(target)

    def look(self) -> None:
        """Ask for pods that became Ready, those of all targets of one Prometheus together."""
        jobs = {job.target.name: job for job in self._jobs()}
        self._asked_s = {name: at_s for name, at_s in self._asked_s.items() if name in jobs}
        self._missing = {name: missing for name, missing in self._missing.items() if name in jobs}
        due: dict[Question, list[Asking]] = defaultdict(list)
        for name, job in jobs.items():
            exporter, prometheus = loading_of(job), job.policy.spec.signals.prometheus
            if exporter is None:
                self._missing[name] = Missing(Cause.ABSENT, f"preset {prometheus.preset} has no such metric")
            elif pods := self._due(job):
                due[access_of(prometheus), exporter].append((job, pods))
        for (access, exporter), asking in due.items():
            self._ask(access, exporter, asking)

    def _due(self, job: Job) -> Mapping[str, StartingPod]:
        """The pods of a target that are to be asked about now."""
        watched, now_s = self._pods(job.namespace), self._monotonic()
        if watched is None or now_s - self._asked_s.get(job.target.name, -math.inf) < AGAIN_S:
            return {}
        settled_s = self._clock() - SETTLED_S
        pods = {
            name: pod
            for name, pod in watched.unheard(job.deployment).items()
            if pod.pod.loaded_at_s is not None and pod.pod.loaded_at_s <= settled_s
        }
        if pods:
            self._asked_s[job.target.name] = now_s
        return pods

    def _ask(self, access: Access, exporter: Exporter, asking: Sequence[Asking]) -> None:
        pods = {subject_of(job): len(unheard) for job, unheard in asking}
        found: dict[Subject, Loads] = {}
        failure = ""
        try:
            with closing(self._connect(access)) as prometheus:
                found.update(read_loads(prometheus, exporter, pods))
        except (Unreachable, InvalidInput) as error:
            failure = str(error)
        for job, unheard in asking:
            loads = found.get(subject_of(job))
            if loads is None:
                self._missing[job.target.name] = Missing(Cause.UNREACHABLE, failure)
            else:
                self._take(job, unheard, loads, exporter.metrics[0].name)

    def _take(self, job: Job, unheard: Mapping[str, StartingPod], loads: Loads, metric: str) -> None:
        told = [(pod, loads.by_pod[name]) for name, pod in unheard.items() if name in loads.by_pod]
        watched = self._pods(job.namespace)
        if told and watched is not None:
            watched.loaded(job.deployment, told)
        if told:
            self._missing.pop(job.target.name, None)
        elif loads.implausible:
            self._missing[job.target.name] = Missing(Cause.IMPLAUSIBLE, loads.implausible)
        else:
            self._missing[job.target.name] = Missing(Cause.ABSENT, f"Prometheus has no {metric} of these pods")

    def _run(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                self.look()
            except Exception:  # noqa: BLE001 — whatever it is: nothing is decided on it, and the next look may do better
                _log.exception("how pods load could not be looked at")
