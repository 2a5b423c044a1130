"""The controller as a process: many targets, one election, five watches a namespace, one port."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from kubernetes import client
from prometheus_client import CollectorRegistry

from autoscaler.cluster.actuator import ClusterActuator
from autoscaler.cluster.api import manager_of
from autoscaler.cluster.events import Announcer
from autoscaler.cluster.lease import ClusterLease, Election, Elector, Timing, wall_clock
from autoscaler.cluster.status import Statuses
from autoscaler.cluster.watched import WatchedFleet, WatchedNamespace
from autoscaler.loop import Ports
from autoscaler.policies.policy import Lasting
from autoscaler.ports import Journal
from autoscaler.prometheus.client import Prometheus
from autoscaler.service.continuity import Continuity
from autoscaler.service.endpoint import Endpoint
from autoscaler.service.recorder import Metrics, Recorder
from autoscaler.service.runner import Runner
from autoscaler.service.trainer import BackgroundTrainer, OneThread
from autoscaler.service.wiring import REQUEST_S, Job, SystemClock, access_of, history_of, signals_of

WORKERS = 10
"""Ticks that run at a time: they wait for Prometheus and the API server most of the time."""
LATE_TICKS = 3
"""A target whose last tick is so many intervals ago makes the process unhealthy."""
SLACK_S = 10.0
STOP_S = 4.0
"""Kubernetes' own grace is 30 s; a controller has nothing that is worth waiting for longer."""
KEEP_S = 2.0
"""Of these, for keeping what the next process goes on with: while the lease is still held."""
DEFAULT_TIMING = Timing()
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidacy:
    """How this process stands for leader."""

    identity: str
    """The pod's name, exactly: the admission policy compares it."""
    timing: Timing = DEFAULT_TIMING
    lease: str = "speech-autoscaler"


class Controller:
    """Everything of one process, started and stopped together.

    Args:
        jobs: what to size.
        api: a connection.
        namespace: the controller's own: there are the Lease and the statuses.
        candidacy: how to stand for leader; None writes nothing, which is a dry run.
        log: the decision log, if one is kept.
        listen: host and port for probes and scrapers.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        api: client.ApiClient,
        namespace: str,
        *,
        candidacy: Candidacy | None,
        log: Journal | None,
        listen: tuple[str, int],
    ) -> None:
        registry = CollectorRegistry()
        self._metrics = Metrics(registry)
        self._api = api
        self._elector = _elector(api, namespace, candidacy) if candidacy else None
        self._announcer = Announcer(api, candidacy.identity if candidacy else "", self._forbidden, REQUEST_S)
        self._statuses = Statuses(api, namespace, self._forbidden, REQUEST_S)
        self._recorder = Recorder(self._metrics, [self._announcer, self._statuses, *([log] if log else [])])
        self._metrics.leader.set_function(lambda: float(self._elector is not None and self._elector.leading()))
        self._manager = manager_of(namespace)
        spaces = sorted({job.namespace for job in jobs})
        self._namespaces = {name: WatchedNamespace(api, name, manager=self._manager) for name in spaces}
        self._fits = OneThread("fit")
        self._runners = [self._runner(job) for job in jobs]
        self._endpoint = Endpoint(*listen, registry, {"/healthz": self.unhealthy, "/readyz": self.unready})
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(WORKERS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    @property
    def port(self) -> int:
        """Where probes and scrapers find it."""
        return self._endpoint.port

    def start(self) -> None:
        """Begin to watch, to stand for leader and to tick; the first ticks are spread over their interval."""
        self._endpoint.start()
        for namespace in self._namespaces.values():
            namespace.start()
        self._announcer.start()
        self._statuses.start()
        if self._elector:
            self._elector.start()
        for index, runner in enumerate(self._runners):
            tick_s = runner.target.policy.tick_s
            first = datetime.now(UTC) + timedelta(seconds=tick_s * index / len(self._runners))
            self._scheduler.add_job(runner.run, IntervalTrigger(seconds=tick_s, timezone=UTC), next_run_time=first)
        self._scheduler.start()
        _log.info("started", targets=len(self._runners), port=self.port)

    def stop(self) -> None:
        """End: no new tick begins, the lease is given back, nothing is relabelled."""
        self._scheduler.shutdown(wait=False)
        ended_s = time.monotonic() + KEEP_S
        for runner in self._runners:
            runner.close(max(0.0, ended_s - time.monotonic()))
        self._statuses.flush(max(0.0, ended_s - time.monotonic()))
        self._fits.shutdown()
        if self._elector:
            self._elector.stop(STOP_S - KEEP_S)
        for namespace in self._namespaces.values():
            namespace.stop()
        self._statuses.stop()
        self._endpoint.stop()
        _log.info("stopped")

    def unhealthy(self) -> str | None:
        """Which target has not ticked for too long."""
        late = [
            f"{runner.target.name}: no tick for {runner.behind_s():.0f} s"
            for runner in self._runners
            if runner.behind_s() > LATE_TICKS * runner.target.policy.tick_s + SLACK_S
        ]
        return "; ".join(late[:3]) or None

    def unready(self) -> str | None:
        """What is not known yet; a follower is ready too."""
        unheard = [f"{name}: {problem}" for name, each in self._namespaces.items() if (problem := each.problem())]
        if not self._statuses.heard():
            unheard.append("who is paused")
        return "; ".join(unheard[:3]) or self.unhealthy()

    def _may_tick(self) -> bool:
        """Only who leads ticks, and only once it is known who is paused."""
        return self._statuses.heard() and (self._elector is None or self._elector.leading())

    def _forbidden(self) -> str | None:
        if self._elector is None:
            return "dry run"
        return None if self._elector.leading() else "not the leader"

    def _runner(self, job: Job) -> Runner:
        namespace = self._namespaces[job.namespace]
        where = (self._api, job.namespace, job.deployment)

        def forbidden() -> str | None:
            return self._forbidden() or job.forbidden or namespace.rival(job.deployment)

        def ports() -> Ports:
            return Ports(
                clock=SystemClock(),
                signals=signals_of(job, Prometheus(access_of(job.policy.spec.signals.prometheus))),
                fleet=WatchedFleet(namespace, job.deployment),
                actuator=ClusterActuator(*where, forbidden, REQUEST_S, manager=self._manager),
                journal=self._recorder,
                trainer=BackgroundTrainer(self._fits, job.target.name),
            )

        def paused() -> bool:
            return self._statuses.paused(job.target.name)

        policy = job.target.policy
        continuity = None
        if isinstance(policy, Lasting):
            past = partial(history_of, job, policy.reach_s)
            continuity = Continuity(job.target.name, policy, self._statuses, past, self._metrics)
        return Runner(job.target, ports, self._metrics, leading=self._may_tick, paused=paused, continuity=continuity)


def _elector(api: client.ApiClient, namespace: str, candidacy: Candidacy) -> Elector:
    store = ClusterLease(api, namespace, candidacy.lease, candidacy.timing.retry_s)
    return Elector(Election(store, candidacy.identity, candidacy.timing, wall_clock), candidacy.timing)


def run_until(controller: Controller, ended: threading.Event) -> None:
    """Run a controller until an event is set."""
    controller.start()
    try:
        ended.wait()
    finally:
        controller.stop()
