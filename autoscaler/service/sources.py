"""What is read for which target: exporters by policy, and one shared query for all who ask the same."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace

from autoscaler.loop import Target
from autoscaler.model import Drain, History
from autoscaler.policies.fixed import FixedPolicy
from autoscaler.policies.hpa import HpaPolicy
from autoscaler.policies.keda import KedaPolicy
from autoscaler.policies.policy import Lasting
from autoscaler.policies.windows import Signal
from autoscaler.prometheus.arrivals import INGREDIENTS
from autoscaler.prometheus.client import Access, Prometheus
from autoscaler.prometheus.history import Grid, read_history
from autoscaler.prometheus.loading import LOADING
from autoscaler.prometheus.metrics import (
    DCGM,
    KAFKA,
    KINDS,
    PRESETS,
    RABBITMQ,
    SPEECH,
    Exporter,
    Kind,
    Metric,
    Subject,
)
from autoscaler.prometheus.sharing import SharedQuery
from autoscaler.prometheus.source import SCRAPE_INTERVAL_S, PrometheusSignals, Wanted
from autoscaler.service.wiring import Job, access_of
from autoscaler.spec.selector import parse_selector
from autoscaler.spec.signals import KafkaQueue, Queries, RabbitmqQueue

_FIELDS: Mapping[Signal, str] = {
    Signal.RATE: "received",
    Signal.COMPLETED_RATE: "completed",
    Signal.BUSY: "service_s",
    Signal.CONCURRENCY: "concurrency_s",
    Signal.QUEUE: "queued",
    Signal.IN_FLIGHT: "in_flight",
    Signal.SLOTS: "busy",
    Signal.GPU: "gpu_use_ratio",
    Signal.LATENCY_P99: "latency",
}
"""The field of a scrape that a signal is read from."""
HISTORY_REQUEST_S = 15.0
"""Longest time of a request for a day of the past, which is read beside the ticks."""
HISTORY_S = 120.0
"""Days that were not read by then are left out."""
Question = tuple[Access, Exporter]
"""Who is asked, and for what."""


def asked_of(target: Target) -> frozenset[str] | None:
    """The fields of a scrape that a target's policy reads; None for all there are.

    A thousand targets under an HPA's rule need two series of each pod, not forty.
    """
    match target.policy:
        case HpaPolicy() | KedaPolicy():
            read = {_FIELDS[windowed.signal] for windowed in target.policy.readings.values()}
        case FixedPolicy():
            read = set()
        case _:
            return None
    emptied = {"in_flight"} if target.drain is Drain.LABEL else set()
    return frozenset({"received"} | read | emptied)


def exporters_of(job: Job) -> tuple[Exporter, ...]:
    """What a policy file says to read, that of the arrivals first.

    Queries of one's own take the place of the preset's metrics.
    """
    asked, signals = asked_of(job.target), job.policy.spec.signals
    own = _own_queries(signals.queries)
    instead = {metric.signal for each in own for metric in each.metrics}
    if isinstance(signals.queue, KafkaQueue):
        instead.add("queued")  # the lag is of what was taken and not committed, too
    if "received" in instead:
        instead |= INGREDIENTS  # arrivals of one's own are taken as they are told
    shipped = (PRESETS[signals.prometheus.preset], DCGM)
    kept = (_where(each, lambda signal: signal not in instead) for each in shipped)
    wanted = [_where(each, lambda signal: asked is None or signal in asked) for each in (*own, *kept)]
    if signals.queue is not None and (asked is None or "queued" in asked):
        broker = RABBITMQ if isinstance(signals.queue, RabbitmqQueue) else KAFKA
        wanted.append(_where(broker, lambda signal: signal == "queued" or signal not in instead))
    tell = [each for each in wanted if each.metrics]
    return tuple(sorted(tell, key=lambda each: "received" not in {metric.signal for metric in each.metrics}))


def loading_of(job: Job) -> Exporter | None:
    """What tells how a target's pods load; None where nothing is known to."""
    own = job.policy.spec.signals.load_phases
    if own is None:
        return LOADING if job.policy.spec.signals.prometheus.preset == SPEECH.name else None
    selector = parse_selector(own.query)
    metric = Metric("load", selector.name, Kind.MAX, own.factor)
    return Exporter(LOADING.name, (metric,), selector.told_by, selector.matchers)


def _own_queries(queries: Queries) -> list[Exporter]:
    """Exporters of the metrics that a policy file names itself; those with the same labels are one."""
    groups: dict[Hashable, Exporter] = {}
    for signal, query in queries:
        if query is None:
            continue
        selector = parse_selector(query.query)
        metric = Metric(signal, selector.name, KINDS[signal], getattr(query, "factor", 1.0))
        known = groups.get((selector.told_by, selector.matchers))
        if known is None or metric.name in {each.name for each in known.metrics}:
            made = Exporter("queries", (metric,), selector.told_by, selector.matchers)
            groups[(selector.told_by, selector.matchers) if known is None else signal] = made
        else:
            groups[selector.told_by, selector.matchers] = replace(known, metrics=(*known.metrics, metric))
    return list(groups.values())


def _where(exporter: Exporter, holds: Callable[[str], bool]) -> Exporter:
    """Of an exporter's metrics those whose signal is one of some."""
    return replace(exporter, metrics=tuple(metric for metric in exporter.metrics if holds(metric.signal)))


def required_of(job: Job) -> frozenset[str]:
    """Signals without which a target does not shrink: the arrivals, and what waits where a file says how it is read."""
    signals = job.policy.spec.signals
    waits = signals.queue is not None or signals.queries.queued is not None
    return frozenset({"received", "queued"} if waits else {"received"})


def group_of(job: Job) -> Hashable:
    """Equal for targets that are asked for together."""
    return tuple(_questions(job))


def subject_of(job: Job) -> Subject:
    """Whose series are meant."""
    facts: dict[str, str] = {}
    target, queue = job.policy.spec.target, job.policy.spec.signals.queue
    if target is not None and target.service is not None:
        facts["service"] = target.service
    match queue:
        case RabbitmqQueue():
            facts |= {"vhost": queue.vhost, "queue": queue.queue}
        case KafkaQueue():
            facts |= {"topic": queue.topic, "group": queue.group}
    return Subject(job.namespace, job.deployment, tuple(facts.items()))


def wanted_of(job: Job) -> Wanted:
    """What to read for a target, of what its questions are answered with."""
    spec = job.policy.spec.signals.prometheus
    return Wanted(
        subject=subject_of(job),
        stale_after_s=spec.stale_after_s,
        required=required_of(job),
        weighed=asked_of(job.target) or frozenset(),
        objective_s=job.objective_s,
        scrape_interval_s=spec.scrape_interval_s or SCRAPE_INTERVAL_S,
    )


def continues(before: Job, now: Job) -> bool:
    """Whether a target goes on under a changed policy with all that is known of it: read alike, and counted alike."""
    alike = _questions(before) == _questions(now) and wanted_of(before) == wanted_of(now)
    policy = now.target.policy
    return alike and isinstance(policy, Lasting) and policy.continues(before.target.policy)


def history_of(job: Job, reach_s: float, until_s: float) -> History | None:
    """The past of a target's traffic, over a connection of its own; None where Prometheus has none.

    Raises:
        Unreachable: Prometheus gave no usable answer.
        InvalidInput: it refused the query.
    """
    prometheus = Prometheus(replace(access_of(job.policy.spec.signals.prometheus), timeout_s=HISTORY_REQUEST_S))
    began_s = time.monotonic()
    try:
        return read_history(
            prometheus.query_range,
            exporters_of(job)[0],
            subject_of(job),
            grid=Grid.until(until_s, reach_s),
            ended=lambda: time.monotonic() - began_s > HISTORY_S,
        )
    finally:
        prometheus.close()


class Sources:
    """The signals of all targets of one process.

    Args:
        connect: a connection to a Prometheus, for one question alone.
    """

    def __init__(self, connect: Callable[[Access], Prometheus] = Prometheus) -> None:
        self._connect = connect
        self._queries: dict[Question, SharedQuery] = {}

    def settle(self, jobs: Iterable[Job]) -> None:
        """Ask for these targets from now on."""
        asking: dict[Question, set[Subject]] = defaultdict(set)
        for job in jobs:
            for question in _questions(job):
                asking[question].add(subject_of(job))
        for question in set(self._queries) - set(asking):
            self._queries.pop(question).close()
        for question, subjects in asking.items():
            self._query(question).serve(subjects)

    def signals_of(self, job: Job, elsewhere: Callable[[str], bool] = lambda _: False) -> PrometheusSignals:
        """What a policy file says to read, and where; without pods that are known to be another's."""
        queries = [self._query(question) for question in _questions(job)]
        return PrometheusSignals(queries, wanted_of(job), elsewhere=elsewhere)

    def close(self) -> None:
        """Close all connections."""
        self.settle([])

    def _query(self, question: Question) -> SharedQuery:
        if question not in self._queries:
            access, exporter = question
            self._queries[question] = SharedQuery(self._connect(access), exporter)
        return self._queries[question]


def _questions(job: Job) -> list[Question]:
    access = access_of(job.policy.spec.signals.prometheus)
    return [(access, exporter) for exporter in exporters_of(job)]
