"""From single replays to a comparison: means over seeds, then over traces. Pure.

The rules are those of the published protocol: misses and costs are means over the seeds, a trace is kept
when its mean misses are within what the objective allows, and means over traces leave out those that no
policy can serve (`Trace.counted`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean, geometric_mean
from typing import TypeVar

from simulations.result import Figures

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, order=True)
class Setup:
    """What is held fixed while policies are compared."""

    workload: str
    routing: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One policy on one trace: means over the seeds."""

    setup: Setup
    trace: str
    policy: str
    counted: bool
    kept: bool
    """Missed no more than the objective allows."""
    seeds: tuple[int, ...]
    missed_ratio: float
    cost_ratio: float | None
    pod_hours: float
    latency_p50_s: float
    latency_p99_s: float
    pod_starts: float


@dataclass(frozen=True, slots=True)
class Standing:
    """One policy over all counted traces."""

    setup: Setup
    policy: str
    traces: int
    kept: int
    missed_ratio: float
    cost_ratio: float | None
    cost_ratio_geometric: float | None
    pod_hours: float


def measured(figures: Figures, reference: Figures) -> Figures:
    """The figures with their cost measured against that of a plan that knew the future."""
    pod_hours = reference.reference_pod_hours
    ratio = figures.pod_hours / pod_hours if pod_hours else None
    return replace(figures, reference_pod_hours=pod_hours, cost_ratio=ratio)


def cells(figures: Iterable[Figures], counted: Mapping[str, bool], allowed: Mapping[str, float]) -> tuple[Cell, ...]:
    """One cell for each workload, routing, trace and policy, in the order of their first replay.

    Args:
        figures: single replays.
        counted: for each trace, whether means include it.
        allowed: for each workload, the share of requests that may miss.
    """
    groups = _grouped(figures, lambda f: (Setup(f.workload, f.routing), f.trace, f.policy))
    return tuple(
        _cell(setup, runs, counted[trace], allowed[setup.workload]) for (setup, trace, _), runs in groups.items()
    )


def standings(table: Iterable[Cell]) -> tuple[Standing, ...]:
    """One standing for each workload, routing and policy; those without a counted trace are left out."""
    groups = _grouped((cell for cell in table if cell.counted), lambda cell: (cell.setup, cell.policy))
    return tuple(_standing(setup, policy, row) for (setup, policy), row in groups.items())


def _cell(setup: Setup, runs: list[Figures], counted: bool, allowed: float) -> Cell:
    missed = fmean(run.missed_ratio for run in runs)
    return Cell(
        setup=setup,
        trace=runs[0].trace,
        policy=runs[0].policy,
        counted=counted,
        kept=missed <= allowed,
        seeds=tuple(sorted(run.seed for run in runs)),
        missed_ratio=missed,
        cost_ratio=_mean([run.cost_ratio for run in runs]),
        pod_hours=fmean(run.pod_hours for run in runs),
        latency_p50_s=fmean(run.latency_p50_s for run in runs),
        latency_p99_s=fmean(run.latency_p99_s for run in runs),
        pod_starts=fmean(run.pod_starts for run in runs),
    )


def _standing(setup: Setup, policy: str, row: list[Cell]) -> Standing:
    costs = [cell.cost_ratio for cell in row]
    return Standing(
        setup=setup,
        policy=policy,
        traces=len(row),
        kept=sum(cell.kept for cell in row),
        missed_ratio=fmean(cell.missed_ratio for cell in row),
        cost_ratio=_mean(costs),
        cost_ratio_geometric=_mean(costs, geometric_mean),
        pod_hours=fmean(cell.pod_hours for cell in row),
    )


def _mean(values: list[float | None], mean: Callable[[list[float]], float] = fmean) -> float | None:
    """The mean, or None where a value is missing: a mean over fewer traces would not compare."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return mean(known) if known and len(known) == len(values) else None


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
