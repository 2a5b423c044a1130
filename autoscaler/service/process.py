"""The controller as a process: many targets, one election, six watches a namespace and one of the nodes, one port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import Any

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from kubernetes import client
from prometheus_client import CollectorRegistry

from autoscaler.cluster.actuator import ClusterActuator
from autoscaler.cluster.api import manager_of
from autoscaler.cluster.events import Announcer
from autoscaler.cluster.lease import LEASE, NOT_LEADING, ClusterLease, Election, Elector, Timing, wall_clock
from autoscaler.cluster.nodes import Nodes
from autoscaler.cluster.status import Statuses
from autoscaler.cluster.watched import WatchedFleet, WatchedNamespace
from autoscaler.journal.explain import explain
from autoscaler.journal.log import JsonlJournal
from autoscaler.loop import Ports
from autoscaler.model import Drain
from autoscaler.policies.policy import Lasting
from autoscaler.service.aside import Aside
from autoscaler.service.board import Board
from autoscaler.service.clock import ClockWatch
from autoscaler.service.continuity import Continuity, Left
from autoscaler.service.endpoint import Endpoint
from autoscaler.service.lastword import LastWord
from autoscaler.service.learner import Learner
from autoscaler.service.loading import Loading
from autoscaler.service.policies import InForce, PolicyFolder
from autoscaler.service.recorder import Metrics, Recorder
from autoscaler.service.rivals import Rivals
from autoscaler.service.runner import Runner
from autoscaler.service.sources import Sources, history_of
from autoscaler.service.starts import Known, StartTimes, shown
from autoscaler.service.targets import Targets
from autoscaler.service.traffic import Traffic
from autoscaler.service.trainer import BackgroundTrainer, Elsewhere, OneThread
from autoscaler.service.wiring import REQUEST_S, Job, SystemClock

WORKERS = 10
"""Ticks that run at a time: they wait for Prometheus and the API server most of the time."""
LATE_TICKS = 3
"""A target whose last tick is so many intervals ago makes the process unhealthy, and so do all that fail so long …"""
SLACK_S = 10.0
"""… and these seconds."""
STOP_S = 4.0
"""Kubernetes' own grace is 30 s; a controller has nothing that is worth waiting for longer."""
MIND_EVERY_S = 1.0
"""The machine's clock, and targets of which no tick tells, are looked at so often."""
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
    lease: str = LEASE


class Controller:
    """Everything of one process, started and stopped together.

    Args:
        policies: what to size; followed while the process runs.
        api: a connection.
        namespace: the controller's own: there are the Lease and the statuses.
        candidacy: how to stand for leader; None writes nothing, which is a dry run.
        log: the decision log, if one is kept.
        listen: host and port for probes and scrapers.
    """

    def __init__(
        self,
        policies: PolicyFolder,
        api: client.ApiClient,
        namespace: str,
        *,
        candidacy: Candidacy | None,
        log: JsonlJournal | None,
        listen: tuple[str, int],
    ) -> None:
        registry = CollectorRegistry()
        self._metrics = Metrics(registry)
        self._api = api
        self._elector = _elector(api, namespace, candidacy, self._metrics.lease_errors.inc) if candidacy else None
        self._announcer = Announcer(api, candidacy.identity if candidacy else "", self._forbidden, REQUEST_S)
        unwritten = self._metrics.count_unwritten
        self._statuses = Statuses(api, namespace, self._forbidden, explain, timeout_s=REQUEST_S, failed=unwritten)
        self._board = Board()
        self._identity = candidacy.identity if candidacy else "a dry run"
        traffic = Traffic(self._misdirected, self._metrics, self._statuses, self._last_word())
        rivals = Rivals(self._rival, self._statuses, self._last_word())
        starts = StartTimes(self._known_starts, self._metrics, self._statuses)
        self._recorder = Recorder(
            self._metrics,
            [self._announcer, traffic, rivals, starts, self._statuses, self._board, *([log] if log else [])],
        )
        self._metrics.lost.labels("event").set_function(lambda: float(self._announcer.lost))
        if log:
            self._metrics.lost.labels("log line").set_function(lambda: float(log.lost))
        self._metrics.leader.set_function(lambda: float(self._elector is not None and self._elector.leading()))
        self._log = log
        self._manager = manager_of(namespace)
        self._nodes = Nodes(api)
        self._namespaces: dict[str, WatchedNamespace] = {}
        self._fits, self._learner = OneThread("fit"), Learner()
        self._sources, self._policies = Sources(), policies
        self._ended = threading.Event()
        following = partial(policies.follow, self._take_up, self._ended)
        self._following = threading.Thread(target=following, name="policies", daemon=True)
        self._aside = Aside(self._statuses, self._last_word(), self._last_word())
        self._minding = threading.Thread(target=self._mind, args=[ClockWatch()], name="minding", daemon=True)
        self._scheduler = _scheduler()
        self._targets = Targets(self._runner, self._scheduler)
        self._loading = Loading(self._jobs, self._watched)
        checks = {"/healthz": self.unhealthy, "/readyz": self.unready}
        self._endpoint = Endpoint(*listen, registry, checks, self.report)

    @property
    def port(self) -> int:
        """Where probes and scrapers find it."""
        return self._endpoint.port

    def start(self) -> None:
        """Begin to watch, to stand for leader and to tick; the first ticks are spread over their interval."""
        self._endpoint.start()
        self._announcer.start()
        self._statuses.start()
        self._nodes.start()
        self._take_up(self._policies.read())
        if self._elector:
            self._elector.start()
        self._scheduler.start()
        self._following.start()
        self._minding.start()
        self._loading.start()
        _log.info("started", targets=len(self._targets.runners), port=self.port)

    def stop(self) -> None:
        """End: no new tick begins, what outlives us is kept, the lease is given back; nothing is relabelled."""
        self._ended.set()
        kept_until_s = time.monotonic() + KEEP_S
        self._following.join(KEEP_S)  # the interpreter does not end while it waits for files to change
        self._targets.close(lambda: max(0.0, kept_until_s - time.monotonic()))
        self._statuses.flush(max(0.0, kept_until_s - time.monotonic()))
        self._fits.shutdown()
        self._learner.close()
        if self._elector:
            self._elector.stop(STOP_S - KEEP_S)
        for namespace in self._namespaces.values():
            namespace.stop()
        self._nodes.stop()
        self._statuses.stop()
        self._loading.stop()
        self._endpoint.stop()
        _log.info("stopped")

    def _take_up(self, in_force: InForce) -> None:
        """Size what the files say now, and say what is wrong with them."""
        namespaces = {job.namespace for job in in_force.jobs.values()}
        namespaces |= {target.partition("/")[0] for target in in_force.troubles}
        for name in sorted(namespaces - set(self._namespaces)):
            watched = WatchedNamespace(self._api, name, manager=self._manager, node_type=self._nodes.type_of)
            watched.start()
            self._namespaces = self._namespaces | {name: watched}
        self._sources.settle(in_force.jobs.values())
        before = set(self._targets.jobs)
        self._targets.settle(in_force.jobs)
        for target in before - set(in_force.jobs):
            self._recorder.forget(target)
            self._board.forget(target)
        self._watch_no_others_than(namespaces)
        self._say_what_is_wrong(in_force)

    def _watch_no_others_than(self, namespaces: set[str]) -> None:
        """Rights to a namespace may go with its last target, and are no trouble then."""
        watched = self._namespaces
        self._namespaces = {name: each for name, each in watched.items() if name in namespaces}
        for name in set(watched) - namespaces:
            watched[name].stop()

    def _say_what_is_wrong(self, in_force: InForce) -> None:
        """In the log, in metrics, and with each target."""
        self._metrics.policies_refused.set(len(in_force.problems))
        for file, problems in in_force.problems.items():
            _log.error("policy file refused", file=file, problems=problems)
        for target, job in in_force.jobs.items():
            self._statuses.about(target, {"mode": job.target.rails.mode, "policy": job.policy.spec.policy.type})
            self._statuses.troubled(target, "; ".join(in_force.troubles.get(target, ())))

    def _mind(self, clock: ClockWatch) -> None:
        """Look after what no tick does."""
        while not self._ended.wait(MIND_EVERY_S):
            for look in (partial(self._go_by, clock), self._say_aside):
                try:
                    look()
                except Exception:  # noqa: BLE001 — whatever it is: the next look has to take place
                    _log.exception("what no tick looks after goes unseen")

    def _say_aside(self) -> None:
        in_force, failing = self._policies.in_force, self._failing()
        troubles = {target: "; ".join(lines) for target, lines in in_force.troubles.items()}
        doubled = {target: text for target, text in troubles.items() if target not in in_force.jobs}
        self._aside.say(in_force.jobs.keys(), troubles, doubled | failing)

    def _failing(self) -> dict[str, str]:
        """Targets whose ticks have ended in nothing but errors for too long."""
        return {
            runner.target.name: f"its ticks end in errors of the controller's own ({runner.failed}), its log says where"
            for runner in self._targets.runners
            if runner.failing_s() > _patience_s(runner)
        }

    def _go_by(self, clock: ClockWatch) -> None:
        """Ticks are due by the machine's clock, and policies remember times of it."""
        if step_s := clock.step_s():
            _log.warning("the clock was set: every target goes on as after a restart", by_s=round(step_s, 1))
            self._targets.begin_anew()

    @property
    def standing(self) -> tuple[threading.Thread, ...]:
        """Threads that stand until the end of the process, whatever is raised in them."""
        election = [self._elector.thread] if self._elector else []
        telling = (self._announcer.thread, self._statuses.thread)
        return (*telling, self._following, self._minding, self._loading.thread, *election)

    def unhealthy(self) -> str | None:
        """Which thread has ended before its time, which target has not ticked for too long, whether all ticks fail.

        Of a target that fails among others that do not it is said with the target: a restart would cost the others.
        """
        ended = [
            f"the thread `{thread.name}` has ended"
            for thread in self.standing
            if thread.ident is not None and not thread.is_alive() and not self._ended.is_set()
        ]
        late = [
            f"{runner.target.name}: no tick for {runner.behind_s():.0f} s"
            for runner in self._targets.runners
            if runner.behind_s() > _patience_s(runner)
        ]
        failing = [f"{name}: {why}" for name, why in self._failing().items()]
        all_fail = len(failing) == len(self._targets.runners)
        return "; ".join([*ended, *late, *(failing if all_fail else ())][:3]) or None

    def unready(self) -> str | None:
        """What is not known yet; a follower is ready too."""
        unheard = [f"{name}: {problem}" for name, each in self._namespaces.items() if (problem := each.problem())]
        if not self._statuses.heard():
            unheard.append("who is paused")
        if self._elector and self._elector.problem:
            unheard.append(f"who leads: {self._elector.problem}")
        return "; ".join(unheard[:3]) or self.unhealthy()

    def report(self, target: str | None) -> dict[str, Any] | None:
        """What the status page shows of one target, or of all."""
        if target is not None:
            detail = self._board.detail(target)
            return detail and {**detail, **shown(self._known_starts(target))}
        leads = self._elector is None or self._elector.leading()
        return {"identity": self._identity, "leading": leads, **self._board.overview()}

    def _forbidden(self) -> str | None:
        if self._elector is None:
            return "dry run"
        return None if self._elector.leading() else NOT_LEADING

    def _jobs(self) -> Iterable[Job]:
        return self._targets.jobs.values()

    def _watched(self, namespace: str) -> WatchedNamespace | None:
        return self._namespaces.get(namespace)

    def _known_starts(self, target: str) -> Known:
        job = self._targets.job(target)
        starts = () if job is None else self._namespaces[job.namespace].starts(job.deployment)
        return starts, self._loading.missing(target)

    def _last_word(self) -> LastWord:
        return LastWord(self._uid, self._forbidden, self._announcer)

    def _uid(self, target: str) -> str:
        namespace, _, deployment = target.partition("/")
        watched = self._watched(namespace)
        return watched.uid(deployment) if watched is not None else ""

    def _rival(self, target: str) -> str:
        """Who else sizes a target, where its policy does not forbid us to anyway."""
        job = self._targets.job(target)
        watched = self._watched(job.namespace) if job is not None else None
        if job is None or watched is None or job.forbidden:
            return ""
        return watched.rival(job.deployment) or ""

    def _misdirected(self, target: str) -> str | None:
        job = self._targets.job(target)
        if job is None or job.service is None:
            return None
        watched = self._namespaces[job.namespace]
        return watched.misdirected(job.deployment, job.service, by_role=job.target.drain is Drain.LABEL) or ""

    def _runner(self, job: Job, left: Left | None) -> Runner:
        namespace, name = self._namespaces[job.namespace], job.target.name
        trainer = BackgroundTrainer(self._fits, name)
        where = (self._api, job.namespace, job.deployment)
        read = left.ports.signals if left and left.ports else None

        def forbidden() -> str | None:
            return self._forbidden() or runner.overtaken() or job.forbidden or namespace.rival(job.deployment)

        def ports() -> Ports:
            return Ports(
                clock=SystemClock(),
                signals=read or self._sources.signals_of(job, partial(namespace.elsewhere, job.deployment)),
                fleet=WatchedFleet(namespace, job.deployment),
                actuator=ClusterActuator(
                    *where,
                    forbidden,
                    REQUEST_S,
                    manager=self._manager,
                    failed=partial(self._metrics.count_write_error, name),
                ),
                journal=self._recorder,
                trainer=Elsewhere(trainer, self._learner.learn),
            )

        def paused() -> bool:
            return self._statuses.paused(name)

        runner = Runner(
            job.target,
            ports,
            self._metrics,
            ready=self._statuses.heard,
            paused=paused,
            continuity=self._continuity(job, trainer, left),
            witness=self._log,
        )
        return runner

    def _continuity(self, job: Job, trainer: BackgroundTrainer, left: Left | None) -> Continuity | None:
        policy = job.target.policy
        if not isinstance(policy, Lasting):
            return None
        return Continuity(
            job.target.name,
            policy,
            self._statuses,
            partial(history_of, job, policy.reach_s),
            trainer=trainer,
            metrics=self._metrics,
            learn=self._learner.learn,
            left=left,
            witness=self._log,
        )


def _patience_s(runner: Runner) -> float:
    return LATE_TICKS * runner.target.policy.tick_s + SLACK_S


def _scheduler() -> BackgroundScheduler:
    """Of the ticks of one target none beside another; missed ones take place once."""
    return BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(WORKERS)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )


def _elector(api: client.ApiClient, namespace: str, candidacy: Candidacy, failed: Callable[[], object]) -> Elector:
    # As long as client-go waits: a server that answers after a retry's time is no reason to lose the lease.
    store = ClusterLease(api, namespace, candidacy.lease, candidacy.timing.renew_s / 2)
    election = Election(store, candidacy.identity, candidacy.timing, wall_clock)
    return Elector(election, candidacy.timing, failed=failed)


def run_until(controller: Controller, ended: threading.Event) -> None:
    """Run a controller until an event is set."""
    controller.start()
    try:
        ended.wait()
    finally:
        controller.stop()
