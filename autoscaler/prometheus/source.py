"""The signals of one target, read from Prometheus as raw samples of every pod."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from autoscaler.model import (
    Cause,
    Fleet,
    Histogram,
    InvalidInput,
    Missing,
    Phase,
    Pod,
    Problem,
    Scrape,
    Signals,
    Unreachable,
)
from autoscaler.model import Reading as Value
from autoscaler.prometheus.arrivals import INGREDIENTS, UNSEEN, Arrivals
from autoscaler.prometheus.client import Series
from autoscaler.prometheus.ledger import GRACE, Item, Ledger, Look
from autoscaler.prometheus.metrics import Exporter, Kind, Metric, Subject
from autoscaler.prometheus.quality import NO_POD, Scope, believe, just_back, part_silence, silence
from autoscaler.prometheus.sharing import Portion, SharedQuery

SCRAPE_INTERVAL_S = 15.0
"""What most clusters scrape at."""
ROLE_RESOLUTION_S = 1.0
"""The API server tells whole seconds."""
PIECE_S = 600.0
"""A longer past is read in pieces: raw samples of many pods are large."""
AHEAD_S = 5.0
"""Prometheus's clock may be so far before ours."""
_NOBODY = Fleet(0, ())
"""Who should have been heard where series are of a whole service."""
_REDUCED: Mapping[Kind, Callable[[tuple[float, ...]], float]] = {Kind.SUM: math.fsum, Kind.MEAN: fmean, Kind.MAX: max}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read for one Deployment."""

    subject: Subject
    stale_after_s: float = 60.0
    """Older samples say nothing about now."""
    required: frozenset[str] = frozenset({"received"})
    """Signals without which nothing may shrink. Any other is simply not exported where it is missing."""
    weighed: frozenset[str] = frozenset()
    """Signals that the rule goes by. Gauges among them that some serving pods give and others do not are half-known."""
    objective_s: float | None = None
    """With it, late requests are counted where the latency histogram has this edge."""
    scrape_interval_s: float = SCRAPE_INTERVAL_S
    """A guess, until it is measured."""
    catch_up_s: float = 10.0
    """So long one read may take to fetch a long past; what is left comes with the next."""


@dataclass(slots=True)
class _Reading:
    """One exporter's metrics of one target: where each counter stood, and what was read of it lately."""

    query: SharedQuery
    scope: Scope
    ledger: Ledger
    read_to_s: float = -math.inf
    others: set[str] = field(default_factory=set)
    """Pods that were found to be another's, as long as they are told of: also when nobody knows them any more."""
    looks: list[Look] = field(default_factory=list)
    """The newest that was told of, and all that came after it."""

    def at(self, at_s: float, stale_after_s: float) -> Look | None:
        """What was known at a time; None where that was too old."""
        known = [look for look in self.looks if look.at_s <= at_s]
        limit_s = min(stale_after_s, GRACE * self.ledger.interval_s)
        return known[-1] if known and at_s - known[-1].at_s <= limit_s else None

    def own(
        self, series: Sequence[Series], fleet: Collection[str], elsewhere: Callable[[str], bool]
    ) -> Sequence[Series]:
        """Without those of pods that are called like the target's and are another's."""
        label = self.scope.exporter.pod_label
        if label is None:
            return series
        strange = {each.labels.get(label, "") for each in series}.difference(fleet)
        self.others = {pod for pod in strange if pod in self.others or elsewhere(pod)}
        return [each for each in series if each.labels.get(label) not in self.others] if self.others else series

    def forget(self, before_s: float) -> None:
        """Keep what may still be told: the newest look before a time, and all later ones."""
        old = sum(look.at_s <= before_s for look in self.looks)
        del self.looks[: max(0, old - 1)]


class PrometheusSignals:
    """SignalSource of one target: remembers where each counter stood, and nothing else.

    Args:
        queries: one for each exporter, perhaps shared with other targets. The first is for the exporter that
            `received` comes from; its scrapes give the times.
        wanted: whose signals, and how they are judged.
        elsewhere: whether a pod is known to be another's: names alone do not always tell.
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self,
        queries: Sequence[SharedQuery],
        wanted: Wanted,
        *,
        elsewhere: Callable[[str], bool] = lambda _: False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = wanted
        self._elsewhere = elsewhere
        self._monotonic = monotonic
        self._scopes = [(query, Scope.of(query.exporter, wanted.subject)) for query in queries]
        self._tellers = _tellers([scope for _, scope in self._scopes], wanted.required)
        self._metrics = [metric for query in queries for metric in query.exporter.metrics]
        self._arrivals = Arrivals.told_by({metric.signal for metric in self._metrics})
        self._readings: list[_Reading] = []

    def read(self, after_s: float, until_s: float, fleet: Fleet) -> Signals:
        """See `SignalSource`."""
        if not self._readings:
            guess_s = self._wanted.scrape_interval_s
            self._readings = [_Reading(query, scope, Ledger(guess_s, after_s)) for query, scope in self._scopes]
        primary, *others = self._readings
        looks, problems = self._look(primary, after_s, until_s, fleet)
        for reading in others:
            seen, faults = self._look(reading, after_s, until_s, fleet)
            reading.looks += seen
            problems += faults
        if not looks and others and not fleet.of(Phase.SERVING):
            # Nobody serves who could count; what a queue's own exporter says is all there is.
            looks = [Look(look.at_s, {}, {}) for look in others[0].looks]
        whole = [self._whole(look, others) for look in looks if look.at_s > after_s]
        for reading in others:
            reading.forget(looks[-1].at_s if looks else after_s)
        edges_s = _edges_s(whole[-1]) if whole else ()
        scrapes = tuple(
            scrape(look, self._metrics, edges_s, self._arrivals.of(look), self._wanted.objective_s) for look in whole
        )
        for reading in self._readings:
            next_s = self._begin_s(reading, scrapes[-1].at_s if scrapes else after_s)
            reading.query.goes_on(self._wanted.subject, next_s, len(fleet.pods))
        return Signals(scrapes, tuple(problems), edges_s, self._idle(fleet))

    def _whole(self, look: Look, others: Sequence[_Reading]) -> Look:
        """A look, with what other exporters said by then; what several say of one gauge is all of it."""
        counters, gauges, unseen = dict(look.counters), dict(look.gauges), look.unseen
        silent: list[Item] = []
        for reading in others:
            known = reading.at(look.at_s, self._wanted.stale_after_s)
            if known is None:
                silent += [Item(metric.signal) for metric in reading.scope.exporter.metrics]
                continue
            counters |= known.counters
            unseen |= known.unseen
            gauges |= {item: gauges.get(item, ()) + values for item, values in known.gauges.items()}
        for item in silent:
            gauges.pop(item, None)  # the pods' queues alone are not what waits
        return Look(look.at_s, counters, gauges, unseen)

    def _look(
        self, reading: _Reading, after_s: float, until_s: float, fleet: Fleet
    ) -> tuple[list[Look], list[Problem]]:
        """What an exporter's metrics say since `after_s`, and what they should have said."""
        ledger, scope = reading.ledger, reading.scope
        after_s, reading.read_to_s = min(after_s, until_s), min(reading.read_to_s, until_s)  # a clock may be set back
        if scope.exporter.pod_label is None:
            fleet, born_s = _NOBODY, {NO_POD: -math.inf}
        else:
            born_s = {pod.name: _born_s(pod, ledger.since_s) for pod in fleet.pods}
        looks: list[Look] = []
        problems: list[Problem] = []
        try:
            for portion in self._portions(reading, self._begin_s(reading, after_s), until_s):
                series = reading.own(portion.series, born_s, self._elsewhere)
                believed = believe(series, scope, until_s, AHEAD_S)
                looks += ledger.take(believed.samples, born_s, portion.as_of_s)
                problems = [*_warned(scope.exporter, portion.warnings), *believed.problems]
                reading.read_to_s = portion.as_of_s
        except (Unreachable, InvalidInput) as error:
            return looks, [_failed(scope.exporter, error)]
        limit_s = min(self._wanted.stale_after_s, GRACE * ledger.interval_s)
        required = [metric for metric in scope.exporter.metrics if self._tellers.get(metric.signal) is scope]
        silent = {
            metric.signal: silence(ledger.newest_s(Item(metric.signal)), fleet, until_s, limit_s, metric)
            or just_back(ledger.silent_s, metric)
            for metric in reversed(required)
        }
        half = {
            metric.signal: part_silence(ledger.newest_s(Item(metric.signal)), fleet, until_s, limit_s, metric)
            for metric in scope.exporter.metrics
            if metric.kind in _REDUCED and metric.signal in self._wanted.weighed and metric.signal not in silent
        }
        return looks, problems + [problem for problem in (*silent.values(), *half.values()) if problem]

    def _begin_s(self, reading: _Reading, after_s: float) -> float:
        """Where a question begins that is to tell what came after a time.

        What came to light later than `stale_after_s` says nothing any more: that far back the past is known.
        """
        known_s = reading.read_to_s - self._wanted.stale_after_s
        return max(after_s, known_s) - GRACE * reading.ledger.interval_s

    def _portions(self, reading: _Reading, from_s: float, until_s: float) -> Iterator[Portion]:
        """Answers that together reach from one time to the other. The last is of the server's own present."""
        began_s = self._monotonic()
        while until_s - from_s > PIECE_S:
            answer = reading.query.past(self._wanted.subject, from_s, from_s + PIECE_S)
            from_s += PIECE_S
            yield Portion(from_s, from_s - PIECE_S, answer.series, answer.warnings)
            if self._monotonic() - began_s > self._wanted.catch_up_s:
                return
        yield reading.query.read(self._wanted.subject, from_s, until_s)

    def _idle(self, fleet: Fleet) -> tuple[str, ...]:
        """Draining pods that two samples since they left the Service show to hold and receive nothing.

        Only where one exporter tells both of each pod.
        """
        for reading in self._readings:
            told = {metric.signal for metric in reading.scope.exporter.metrics}
            if reading.scope.exporter.pod_label and {"received", "in_flight"} <= told:
                return _idle(reading.ledger, fleet)
        return ()


def _born_s(pod: Pod, since_s: float) -> float:
    """When a pod began to count; long ago for one that is older than our looking, which may have become Ready again."""
    if pod.ordered_at_s <= since_s:
        return -math.inf
    return pod.ordered_at_s if pod.loaded_at_s is None else pod.loaded_at_s


def _tellers(scopes: Sequence[Scope], required: Collection[str]) -> Mapping[str, Scope]:
    """Who must be heard for each required signal: for arrivals the first, for what is told besides the last."""
    tellers: dict[str, Scope] = {}
    for scope in scopes:
        for signal in {metric.signal for metric in scope.exporter.metrics} & set(required):
            if signal != "received" or signal not in tellers:
                tellers[signal] = scope
    return tellers


def _idle(ledger: Ledger, fleet: Fleet) -> tuple[str, ...]:
    """Draining pods that two samples since they left the Service show to hold and receive nothing."""
    received, held = Item("received"), Item("in_flight")
    return tuple(
        sorted(
            pod.name
            for pod in fleet.of(Phase.DRAINING)
            if pod.role_since_s is not None
            and (still_s := ledger.still_since_s(pod.name, received, held)) is not None
            and still_s >= pod.role_since_s + ROLE_RESOLUTION_S
        )
    )


def scrape(
    look: Look, metrics: Iterable[Metric], edges_s: tuple[float, ...], received: Value, objective_s: float | None
) -> Scrape:
    """One look at the whole service in the words of the core."""
    values: dict[str, Any] = {}
    for metric in metrics:
        value = _value(metric, look, edges_s)
        if value is not None and metric.signal not in INGREDIENTS:
            values[metric.signal] = value
    if objective_s is not None and "late" not in values and (late := _late(look, objective_s)) is not None:
        values["late"] = late
    values |= {item.signal: UNSEEN for item in look.unseen if item.signal not in INGREDIENTS}
    return Scrape(look.at_s, **values | {"received": received})


def _value(metric: Metric, look: Look, edges_s: tuple[float, ...]) -> Value | Histogram | None:
    if metric.kind is Kind.COUNTER:
        return look.counters.get(Item(metric.signal))
    if metric.kind is Kind.HISTOGRAM:
        counts = [look.counters.get(Item(metric.signal, edge_s)) for edge_s in (*edges_s, math.inf)]
        known = tuple(count for count in counts if count is not None)
        return Histogram(known) if edges_s and len(known) == len(counts) else None
    values = look.gauges.get(Item(metric.signal))
    return _REDUCED[metric.kind](values) if values else None


def _edges_s(look: Look) -> tuple[float, ...]:
    """The edges that all histograms of a look have: counts at shared edges are exact, whatever the others are."""
    edges: dict[str, set[float]] = {}
    for signal, edge_s in look.counters:
        if edge_s is not None and math.isfinite(edge_s):
            edges.setdefault(signal, set()).add(edge_s)
    return tuple(sorted(set.intersection(*edges.values()))) if edges else ()


def _late(look: Look, objective_s: float) -> float | None:
    if Item("latency", math.inf) in look.unseen:
        return None
    answered, in_time = (look.counters.get(Item("latency", edge_s)) for edge_s in (math.inf, objective_s))
    return None if answered is None or in_time is None else max(0.0, answered - in_time)


def _warned(exporter: Exporter, warnings: Sequence[str]) -> list[Problem]:
    text = "; ".join(warnings)
    return [Problem(exporter.metrics[0].signal, Missing(Cause.ABSENT, f"a partial answer: {text}"))] if text else []


def _failed(exporter: Exporter, error: Exception) -> Problem:
    return Problem(exporter.metrics[0].signal, Missing(Cause.UNREACHABLE, str(error)))
