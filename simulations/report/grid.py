"""A comparison as rows and columns, in words: what every output sets in its own way. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.model import Workload
from simulations.report import words
from simulations.report.summary import Cell, Setup, Standing


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in one place of a comparison: what it cost and how much missed."""

    cost: str
    missed: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a comparison: a trace, or one kind of mean."""

    name: str
    counted: bool
    entries: tuple[Entry | None, ...]
    """One for each policy; None where that replay is missing."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The comparison of policies under one workload and routing, ready to be set."""

    setup: Setup
    policies: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: tuple[tuple[str, tuple[str, ...]], ...]
    """Name of a total, and its value for each policy."""
    cost_unit: str


def grids(table: Sequence[Cell], standings: Sequence[Standing], workloads: Mapping[str, Workload]) -> tuple[Grid, ...]:
    """One grid for each workload and routing, in the order of the cells."""
    setups = tuple(dict.fromkeys(cell.setup for cell in table))
    return tuple(
        _grid(
            setup,
            [cell for cell in table if cell.setup == setup],
            {s.policy: s for s in standings if s.setup == setup},
            workloads[setup.workload],
        )
        for setup in setups
    )


def _grid(setup: Setup, table: list[Cell], standings: Mapping[str, Standing], workload: Workload) -> Grid:
    policies = tuple(dict.fromkeys(cell.policy for cell in table))
    by_place = {(cell.trace, cell.policy): cell for cell in table}
    counted = {cell.trace: cell.counted for cell in table}
    ratios = any(cell.cost_ratio is not None for cell in table)
    rows = tuple(
        Row(trace, counts, tuple(_entry(by_place.get((trace, policy)), ratios=ratios) for policy in policies))
        for trace, counts in sorted(counted.items(), key=lambda item: not item[1])
    )
    return Grid(
        setup=setup,
        policies=policies,
        rows=rows,
        totals=_totals([standings.get(policy) for policy in policies], workload, ratios=ratios),
        cost_unit="cost over the clairvoyant reference" if ratios else "pod-hours",
    )


def _entry(cell: Cell | None, *, ratios: bool) -> Entry | None:
    if cell is None:
        return None
    cost = words.times(cell.cost_ratio) if ratios else words.hours(cell.pod_hours)
    return Entry(cost, words.percent(cell.missed_ratio), cell.kept)


def _totals(
    standings: Sequence[Standing | None], workload: Workload, *, ratios: bool
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    def line(name: str, value: Callable[[Standing], str]) -> tuple[str, tuple[str, ...]]:
        return name, tuple(words.NOTHING if s is None else value(s) for s in standings)

    lines = [line(f"kept within {words.share(words.allowed(workload))}", lambda s: f"{s.kept} of {s.traces}")]
    if ratios:
        lines += [
            line("mean cost", lambda s: words.times(s.cost_ratio)),
            line("geometric mean cost", lambda s: words.times(s.cost_ratio_geometric)),
        ]
    else:
        lines.append(line("mean pod-hours", lambda s: words.hours(s.pod_hours)))
    lines.append(line("mean missed", lambda s: words.percent(s.missed_ratio)))
    return tuple(lines)
