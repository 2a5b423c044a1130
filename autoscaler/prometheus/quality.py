"""What of an answer can be believed: which series are meant, and which samples are none.

A value that is not a number, below zero or from the future is not entered; two series that say the same thing of
one pod are not added up. What was left out is said: absent is never 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from autoscaler.model import Cause, Fleet, Missing, Phase, Problem
from autoscaler.prometheus.client import Series
from autoscaler.prometheus.ledger import Item, Samples
from autoscaler.prometheus.metrics import Exporter, Kind, Metric, Subject

SCRAPER_LABELS = ("job", "instance", "prometheus", "prometheus_replica", "replica", "cluster")
"""Who scraped a series, and where: of one metric of one pod there is one such origin at a time."""
_LARGEST = 2.0**53
"""Beyond it a float no longer counts by ones; no real counter gets there."""
_NAMED = 3
"""So many pods are named in a message, the others counted."""


NO_POD = ""
"""Stands for the pod of series that are of a whole service."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose series are meant."""

    exporter: Exporter
    meant: Callable[[Mapping[str, str]], bool]
    """Whether labels are those of the target's own series."""

    @classmethod
    def of(cls, exporter: Exporter, subject: Subject) -> Scope:
        """An exporter's series of one target."""
        return cls(exporter, exporter.means(subject))


@dataclass(slots=True)
class Believed:
    """What can be entered, and what is wrong with the rest."""

    samples: list[Samples] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def believe(series: Iterable[Series], scope: Scope, now_s: float, ahead_s: float) -> Believed:
    """Sort an answer into samples that can be entered and problems.

    Args:
        series: raw series, of any targets.
        scope: which of them are meant.
        now_s: the present.
        ahead_s: how far before us Prometheus's clock may be.
    """
    by_pod: dict[tuple[Metric, str], list[Series]] = defaultdict(list)
    for each in series:
        if scope.meant(each.labels):
            pod = each.labels.get(scope.exporter.pod_label or "", NO_POD)
            for metric in scope.exporter.metrics:
                if metric.holds(each.labels):
                    by_pod[metric, pod].append(each)
    called = _called({metric.name for metric, _ in by_pod}, scope.exporter)

    found = Believed()
    faults: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (metric, pod), group in by_pod.items():
        if called[metric.signal] != metric.name:
            continue
        if rivals := _rivals(group):
            faults[metric.signal, f"{metric.name} comes twice, {rivals}"].append(pod)
            continue
        for each in group:
            samples, fault = _sorted_out(each, metric, pod, scope, now_s + ahead_s)
            if fault:
                faults[metric.signal, f"{metric.name} {fault}"].append(pod)
            if samples.points:
                found.samples.append(samples)
    found.problems = [
        Problem(signal, Missing(Cause.IMPLAUSIBLE, f"{what} ({names(sorted(set(who)))})"))
        for (signal, what), who in sorted(faults.items())
    ]
    return found


def _called(heard: Collection[str], exporter: Exporter) -> Mapping[str, str]:
    """The name that each signal goes by, of several that say the same."""
    names: dict[str, str] = {}
    for metric in exporter.metrics:
        if metric.name in heard:
            names.setdefault(metric.signal, metric.name)
    return names


def _rivals(group: Sequence[Series]) -> str:
    """In which label two origins differ that speak at the same time; empty where there is one origin at a time."""
    if len(group) == 1:
        return ""
    spans: dict[tuple[str, ...], tuple[float, float]] = {}
    for each in group:
        if not each.samples:
            continue
        origin = tuple(each.labels.get(label, "") for label in SCRAPER_LABELS)
        first_s, last_s = spans.get(origin, (math.inf, -math.inf))
        spans[origin] = (min(first_s, each.samples[0][0]), max(last_s, each.samples[-1][0]))
    ordered = sorted(spans.items(), key=lambda entry: entry[1])
    for (one, (_, ended_s)), (other, (began_s, _)) in pairwise(ordered):
        if began_s < ended_s:
            label = next(name for name, a, b in zip(SCRAPER_LABELS, one, other, strict=True) if a != b)
            index = SCRAPER_LABELS.index(label)
            return f"{label} {one[index]!r} and {other[index]!r}"
    return ""


def _sorted_out(series: Series, metric: Metric, pod: str, scope: Scope, latest_s: float) -> tuple[Samples, str]:
    points, fault = [], ""
    for at_s, value in series.samples:
        if at_s > latest_s:
            fault = f"lies {at_s - latest_s:.0f} s in the future: the clocks differ"
        elif not 0.0 <= value <= _LARGEST:
            fault = f"is {value:g}"
        else:
            points.append((at_s, value * metric.factor))
    item, fault = _item(series, metric, fault)
    samples = Samples(
        pod=pod,
        item=item,
        series=_rest(series.labels, scope.exporter),
        cumulative=metric.kind in (Kind.COUNTER, Kind.HISTOGRAM),
        points=tuple(points) if item.edge_s is None or not math.isnan(item.edge_s) else (),
    )
    return samples, fault


def _item(series: Series, metric: Metric, fault: str) -> tuple[Item, str]:
    if metric.kind is not Kind.HISTOGRAM:
        return Item(metric.signal), fault
    edge = series.labels.get("le", "")
    try:
        return _bucket(metric.signal, edge), fault
    except ValueError:
        return Item(metric.signal, math.nan), f"has the edge {edge!r}"


@lru_cache(maxsize=1024)
def _bucket(signal: str, edge: str) -> Item:
    """One bucket, the same object for all series: the ledgers of a hundred targets keep ten thousands of them."""
    return Item(signal, float(edge))


def _rest(labels: Mapping[str, str], exporter: Exporter) -> tuple[str, ...]:
    known = {"__name__", "le", *SCRAPER_LABELS, *(label for label, _ in exporter.told_by)}
    return tuple(f"{name}={value}" for name, value in sorted(labels.items()) if name not in known)


def silence(
    newest_s: Mapping[str, float], fleet: Fleet, now_s: float, limit_s: float, metric: Metric
) -> Problem | None:
    """What is wrong with a signal that every serving pod should have given lately.

    Args:
        newest_s: for each pod the time of its newest sample.
        fleet: who serves. A pod that was loaded less than the limit ago need not have been scraped yet.
        now_s: the present.
        limit_s: older samples say nothing about now.
        metric: what should have been heard.
    """
    if any(now_s - at_s <= limit_s for at_s in newest_s.values()):
        return part_silence(newest_s, fleet, now_s, limit_s, metric)
    if newest_s:
        age_s = now_s - max(newest_s.values())
        return Problem(
            metric.signal, Missing(Cause.STALE, f"{metric.name} is {age_s:.0f} s old, {limit_s:.3g} s allowed")
        )
    return Problem(metric.signal, Missing(Cause.ABSENT, f"no series of {metric.name} for any pod of the target"))


def part_silence(
    newest_s: Mapping[str, float], fleet: Fleet, now_s: float, limit_s: float, metric: Metric
) -> Problem | None:
    """What is wrong with a signal that some pods gave lately and others did not; arguments as for `silence`."""
    expected = [
        pod.name for pod in fleet.of(Phase.SERVING) if pod.loaded_at_s is None or now_s - pod.loaded_at_s > limit_s
    ]
    fresh = {pod for pod, at_s in newest_s.items() if now_s - at_s <= limit_s}
    silent = [pod for pod in expected if pod not in fresh]
    if not fresh or not silent:
        return None
    what = f"{len(silent)} of {len(expected)} serving pods gave no {metric.name} for {limit_s:.3g} s ({names(silent)})"
    return Problem(metric.signal, Missing(Cause.STALE, what))


def just_back(silent_s: float, metric: Metric) -> Problem | None:
    """What is wrong with the first that is told after a silence: a mean over it, and too low if a clock was set."""
    if not silent_s:
        return None
    what = f"{metric.name} came again after {silent_s:.3g} s: how fast it grows now, the next scrape will tell"
    return Problem(metric.signal, Missing(Cause.STALE, what))


def names(pods: Sequence[str]) -> str:
    """A few names and the number of the others."""
    more = f" and {len(pods) - _NAMED} more" if len(pods) > _NAMED else ""
    return ", ".join(pods[:_NAMED]) + more
