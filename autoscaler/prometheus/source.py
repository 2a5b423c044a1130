"""The signals of one target, read from Prometheus as raw samples of every pod."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from autoscaler.model import (
    Cause,
    Fleet,
    Histogram,
    InvalidInput,
    Missing,
    Phase,
    Problem,
    Scrape,
    Signals,
    Unreachable,
)
from autoscaler.model import Reading as Value
from autoscaler.prometheus.client import Answer, Prometheus
from autoscaler.prometheus.ledger import GRACE, Item, Ledger, Look
from autoscaler.prometheus.metrics import Exporter, Kind, Metric, pods_of_deployment
from autoscaler.prometheus.quality import Scope, believe, silence

SCRAPE_INTERVAL_S = 15.0
"""What most clusters scrape at."""
ROLE_RESOLUTION_S = 1.0
"""The API server tells whole seconds."""
PIECE_S = 600.0
"""A longer past is read in pieces: raw samples of many pods are large."""
AHEAD_S = 5.0
"""Prometheus's clock may be so far before ours."""
_UNSEEN = Missing(Cause.ABSENT, "began anew while nothing was scraped")
_REDUCED: Mapping[Kind, Callable[[tuple[float, ...]], float]] = {Kind.SUM: math.fsum, Kind.MEAN: fmean, Kind.MAX: max}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read for one Deployment."""

    namespace: str
    deployment: str
    exporters: tuple[Exporter, ...]
    """The first is the one that `received` comes from; its scrapes give the times."""
    stale_after_s: float = 60.0
    """Older samples say nothing about now."""
    required: frozenset[str] = frozenset({"received"})
    """Signals without which nothing may shrink. Any other is simply not exported where it is missing."""
    objective_s: float | None = None
    """With it, late requests are counted where the latency histogram has this edge."""
    scrape_interval_s: float = SCRAPE_INTERVAL_S
    """A guess, until it is measured."""
    catch_up_s: float = 10.0
    """So long one read may take to fetch a long past; what is left comes with the next."""


class PrometheusSignals:
    """SignalSource of one target: remembers where each counter stood, and nothing else."""

    def __init__(self, prometheus: Prometheus, wanted: Wanted, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._prometheus = prometheus
        self._wanted = wanted
        self._monotonic = monotonic
        self._pods = pods_of_deployment(wanted.deployment)
        self._ledgers: dict[str, Ledger] = {}
        self._read_to_s: dict[str, float] = {}

    def read(self, after_s: float, until_s: float, fleet: Fleet) -> Signals:
        """See `SignalSource`."""
        primary, *others = self._wanted.exporters
        looks, problems = self._look(primary, after_s, until_s, fleet)
        beside: list[tuple[Exporter, Look]] = []
        for exporter in others:
            seen, faults = self._look(exporter, until_s, until_s, fleet)
            problems += faults
            beside += [(exporter, look) for look in seen[-1:]]
        edges_s = _edges_s(looks[-1]) if looks else ()
        scrapes = tuple(
            scrape(look, primary, beside, edges_s, self._wanted.objective_s) for look in looks if look.at_s > after_s
        )
        return Signals(scrapes, tuple(problems), edges_s, _idle(self._ledgers[primary.name], fleet))

    def _look(
        self, exporter: Exporter, after_s: float, until_s: float, fleet: Fleet
    ) -> tuple[list[Look], list[Problem]]:
        """What an exporter's metrics say since `after_s`, and what they should have said."""
        ledger = self._ledgers.setdefault(exporter.name, Ledger(self._wanted.scrape_interval_s, after_s))
        scope = Scope(exporter, self._wanted.namespace, self._pods)
        born_s = {pod.name: pod.ordered_at_s if pod.loaded_at_s is None else pod.loaded_at_s for pod in fleet.pods}
        # What came to light later than `stale_after_s` says nothing any more: that far back the past is known.
        known_s = self._read_to_s.get(exporter.name, -math.inf) - self._wanted.stale_after_s
        from_s = max(after_s, known_s) - GRACE * ledger.interval_s
        looks: list[Look] = []
        problems: list[Problem] = []
        try:
            for piece_s, answer in self._pieces(exporter, from_s, until_s):
                believed = believe(answer.series, scope, piece_s, AHEAD_S)
                looks += ledger.take(believed.samples, born_s, piece_s)
                problems = [*_warned(exporter, answer), *believed.problems]
                self._read_to_s[exporter.name] = piece_s
        except (Unreachable, InvalidInput) as error:
            return looks, [_failed(exporter, error)]
        limit_s = min(self._wanted.stale_after_s, GRACE * ledger.interval_s)
        required = [metric for metric in exporter.metrics if metric.signal in self._wanted.required]
        silent = [silence(ledger.newest_s(Item(metric.signal)), fleet, until_s, limit_s, metric) for metric in required]
        return looks, problems + [problem for problem in silent if problem]

    def _pieces(self, exporter: Exporter, from_s: float, until_s: float) -> Iterator[tuple[float, Answer]]:
        """Answers that together reach from one time to the other. The last is of the server's own present."""
        selector = exporter.selector([self._wanted.namespace], [self._pods])
        began_s = self._monotonic()
        while until_s - from_s > PIECE_S:
            from_s += PIECE_S
            yield from_s, self._prometheus.query(f"{selector}[{_milliseconds(PIECE_S)}]", from_s)
            if self._monotonic() - began_s > self._wanted.catch_up_s:
                return
        yield until_s, self._prometheus.query(f"{selector}[{_milliseconds(until_s - from_s)}]")


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
    look: Look,
    exporter: Exporter,
    beside: list[tuple[Exporter, Look]],
    edges_s: tuple[float, ...],
    objective_s: float | None,
) -> Scrape:
    """One look at the whole service in the words of the core."""
    values: dict[str, Any] = {}
    for source, seen in ((exporter, look), *beside):
        for metric in source.metrics:
            value = _value(metric, seen, edges_s)
            if value is not None:
                values[metric.signal] = value
    if objective_s is not None and (late := _late(look, objective_s)) is not None:
        values["late"] = late
    values |= {item.signal: _UNSEEN for item in look.unseen}
    values.setdefault("received", Missing(Cause.ABSENT, "no running pod exports it"))
    return Scrape(look.at_s, **values)


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


def _warned(exporter: Exporter, answer: Answer) -> list[Problem]:
    text = "; ".join(answer.warnings)
    return [Problem(exporter.metrics[0].signal, Missing(Cause.ABSENT, f"a partial answer: {text}"))] if text else []


def _failed(exporter: Exporter, error: Exception) -> Problem:
    return Problem(exporter.metrics[0].signal, Missing(Cause.UNREACHABLE, str(error)))


def _milliseconds(seconds: float) -> str:
    return f"{math.ceil(seconds * 1000)}ms"
