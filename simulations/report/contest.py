"""The predictive policy against its peers: as shipped, tuned in hindsight on each trace, and with one common setting.

Pure: from what was measured to contenders and their standings. What was not measured is absent, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, geometric_mean, median

from simulations.hindsight import Score
from simulations.peers import Family
from simulations.tuned import Baseline, Found

OURS = "predictive"


class Kind(StrEnum):
    """How a contender came by its setting."""

    SHIPPED = "as shipped"
    COMMON = "one common setting"
    TUNED = "tuned on each trace"


@dataclass(frozen=True, slots=True)
class Place:
    """One contender on one trace: means over the seeds."""

    cost_ratio: float
    missed_ratio: float
    starts_per_hour: float | None
    kept: bool


@dataclass(frozen=True, slots=True)
class Contender:
    """One policy with one way of choosing its setting, under one workload."""

    name: str
    kind: Kind
    places: Mapping[str, Place]
    """By trace; what was not measured, or has no setting that keeps the trace, is absent."""
    unreachable: frozenset[str] = frozenset()
    """Traces that no setting of it keeps."""


@dataclass(frozen=True, slots=True)
class Overall:
    """A contender over the traces that count, as far as they were measured."""

    traces: int
    kept: int
    cost_ratio: float
    cost_ratio_geometric: float
    most_missed_ratio: float
    starts_per_hour: float | None
    """Median over the traces; None where they were not kept for all."""


def workloads(found: Found) -> tuple[str, ...]:
    """Those of which something was measured, tts first."""
    return tuple(sorted({each.workload for each in found.baselines}, reverse=True))


def baselines(found: Found, workload: str) -> dict[str, Baseline]:
    """By trace; those that count first."""
    mine = [each for each in found.baselines if each.workload == workload]
    return {each.trace: each for each in sorted(mine, key=lambda each: (not each.counted, each.trace))}


def contenders(found: Found, workload: str) -> tuple[Contender, ...]:
    """Ours, then the families as shipped, with a common setting, and tuned; those without a figure are left out."""
    known = baselines(found, workload)
    families = [family.value for family in (Family.HPA, Family.KEDA, Family.KPA, Family.FIXED)]
    every = [_shipped(found, known, OURS)]
    every += [_shipped(found, known, family) for family in families]
    every += [_common(found, known, workload, family) for family in families]
    every += [_tuned(found, known, workload, family) for family in families]
    return tuple(each for each in every if each.places or each.unreachable)


def _shipped(found: Found, known: Mapping[str, Baseline], name: str) -> Contender:
    workload = {each.workload for each in known.values()}
    mine = [each for each in found.shipped if each.policy == name and each.workload in workload]
    places = {
        each.trace: _place(known[each.trace], each.pod_hours, each.missed_ratio, each.starts_per_hour)
        for each in mine
        if each.trace in known
    }
    return Contender(name, Kind.SHIPPED, places)


def _common(found: Found, known: Mapping[str, Baseline], workload: str, family: str) -> Contender:
    first = next((each for each in found.common if (each.workload, each.family) == (workload, family)), None)
    scores = first.scores if first else {}
    return Contender(family, Kind.COMMON, {trace: _scored(known[trace], score) for trace, score in scores.items()})


def _tuned(found: Found, known: Mapping[str, Baseline], workload: str, family: str) -> Contender:
    mine = [each for each in found.tuned if (each.workload, each.family) == (workload, family) and each.trace in known]
    places = {each.trace: _scored(known[each.trace], each.score) for each in mine if each.score and each.score.trials}
    return Contender(family, Kind.TUNED, places, frozenset(each.trace for each in mine if each.score is None))


def _scored(baseline: Baseline, score: Score) -> Place:
    return _place(baseline, score.pod_hours, score.missed_ratio, score.starts_per_hour)


def _place(baseline: Baseline, pod_hours: float, missed_ratio: float, starts: float | None) -> Place:
    kept = missed_ratio <= baseline.allowed
    return Place(pod_hours / baseline.reference_pod_hours, missed_ratio, starts, kept)


def overall(contender: Contender, traces: Iterable[str]) -> Overall | None:
    """Over those of the traces that were measured; None where none was."""
    places = [contender.places[trace] for trace in traces if trace in contender.places]
    if not places:
        return None
    starts = [each.starts_per_hour for each in places if each.starts_per_hour is not None]
    return Overall(
        traces=len(places),
        kept=sum(each.kept for each in places),
        cost_ratio=fmean(each.cost_ratio for each in places),
        cost_ratio_geometric=geometric_mean(each.cost_ratio for each in places),
        most_missed_ratio=max(each.missed_ratio for each in places),
        starts_per_hour=median(starts) if len(starts) == len(places) else None,
    )


def of_kind(all_: Sequence[Contender], kind: Kind) -> list[Contender]:
    """The peers' contenders of a kind."""
    return [each for each in all_ if each.kind is kind and each.name != OURS]


def ours(all_: Sequence[Contender]) -> Contender | None:
    """The predictive policy, if it was measured."""
    return next((each for each in all_ if each.name == OURS), None)


def cheapest(all_: Sequence[Contender], trace: str) -> tuple[str, Place] | None:
    """The peer tuned in hindsight on this very trace that costs least; None where one was not searched for yet."""
    tuned = of_kind(all_, Kind.TUNED)
    if any(trace not in each.places and trace not in each.unreachable for each in tuned):
        return None
    found = [(each.name, each.places[trace]) for each in tuned if trace in each.places]
    return min(found, key=lambda item: item[1].cost_ratio, default=None)


def against_cheapest(all_: Sequence[Contender], traces: Iterable[str]) -> dict[str, float]:
    """For each trace where both were measured, our cost over that of the cheapest tuned peer."""
    mine = ours(all_)
    if mine is None:
        return {}
    peers = {trace: found for trace in traces if trace in mine.places and (found := cheapest(all_, trace))}
    return {trace: mine.places[trace].cost_ratio / place.cost_ratio for trace, (_, place) in peers.items()}


def against(mine: Contender, other: Contender, traces: Iterable[str]) -> tuple[int, float] | None:
    """On how many traces both were measured, and our mean cost over theirs there."""
    both = [trace for trace in traces if trace in mine.places and trace in other.places]
    if not both:
        return None
    of = [fmean(each.places[trace].cost_ratio for trace in both) for each in (mine, other)]
    return len(both), of[0] / of[1]
