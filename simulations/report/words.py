"""Numbers and sentences of the reports: one wording for terminal, Markdown and page."""

from __future__ import annotations

import math

from autoscaler.model import Workload
from simulations.report.summary import Standing
from simulations.result import Figures

NOTHING = "–"
"""Stands where there is no number."""


def percent(ratio: float) -> str:
    """`0.42 %`; a share too small to print is not printed as zero."""
    if math.isnan(ratio):
        return NOTHING
    if 0 < ratio < 0.00005:
        return "<0.01 %"
    return f"{100 * ratio:.2f} %" if ratio < 0.1 else f"{100 * ratio:.1f} %"


def share(ratio: float) -> str:
    """`99 %` or `99.9 %`, as an objective states it."""
    return f"{100 * ratio:.6g} %"


def seconds(value_s: float) -> str:
    """`210 ms`, `0.83 s`, `30.0 s`."""
    if math.isnan(value_s):
        return NOTHING
    if value_s < 0.1:
        return f"{1000 * value_s:.0f} ms"
    return f"{value_s:.2f} s" if value_s < 10 else f"{value_s:.1f} s"


def times(ratio: float | None) -> str:
    """`1.35×`: cost over the reference."""
    return NOTHING if ratio is None or math.isnan(ratio) else f"{ratio:.2f}×"


def hours(pod_hours: float | None) -> str:
    """`18.2`, or more digits where there are few hours."""
    if pod_hours is None or math.isnan(pod_hours):
        return NOTHING
    return f"{pod_hours:.2f}" if pod_hours < 10 else f"{pod_hours:,.1f}"


def whole(number: float) -> str:
    """`1,234`."""
    return f"{number:,.0f}"


def objective(workload: Workload) -> str:
    """`99 % within 0.8 s`."""
    return f"{share(workload.objective_share)} within {workload.objective_s:g} s"


def met(missed_ratio: float, workload: Workload) -> bool:
    """Whether the share of requests that missed is within what the objective allows."""
    return missed_ratio <= allowed(workload)


def allowed(workload: Workload) -> float:
    """Share of requests that may miss; rounded, so that 99 % leaves exactly 1 %."""
    return round(1 - workload.objective_share, 12)


def replay_headline(figures: Figures, workload: Workload) -> str:
    """The result of one replay in a sentence."""
    verb = "met" if met(figures.missed_ratio, workload) else "did not meet"
    cost = f"{hours(figures.pod_hours)} pod-hours"
    if figures.cost_ratio is not None:
        cost += f", {times(figures.cost_ratio)} the clairvoyant reference"
    return f"{figures.policy} {verb} {objective(workload)}: missed {percent(figures.missed_ratio)}; {cost}."


def comparison_headline(standings: tuple[Standing, ...], workload: Workload) -> str:
    """The result of a comparison under one workload and routing: who kept most traces, and who fewer for less."""
    best, *cheaper = frontier(standings)
    first = _listed([each.policy for each in standings if (each.kept, _paid(each)) == (best.kept, _paid(best))])
    kept = f"{first} kept {best.kept} of {best.traces} traces within {share(allowed(workload))} missed"
    reference = " the clairvoyant reference" if best.cost_ratio is not None else " a trace"
    others = "".join(f"; {each.policy} {each.kept} at {_cost(each)}" for each in cheaper[:2])
    return f"{kept}, at {_cost(best)}{reference}{others}."


def _listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def frontier(standings: tuple[Standing, ...]) -> list[Standing]:
    """Policies that no other beats: most traces kept first, then each that keeps fewer at a lower cost."""
    found: list[Standing] = []
    for standing in sorted(standings, key=lambda each: (-each.kept, _paid(each))):
        if not found or _paid(standing) < _paid(found[-1]):
            found.append(standing)
    return found


def _paid(standing: Standing) -> float:
    return standing.pod_hours if standing.cost_ratio is None else standing.cost_ratio


def _cost(standing: Standing) -> str:
    return times(standing.cost_ratio) if standing.cost_ratio is not None else f"{hours(standing.pod_hours)} pod-hours"
