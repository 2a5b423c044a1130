"""A comparison: policies x traces x workloads x routings x seeds, and what the finished replays say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from autoscaler.model import InvalidInput, Routing, Workload
from autoscaler.policies.build import build
from autoscaler.spec import LoadedPolicy
from simulations.replay import Reference, Replay
from simulations.report import words
from simulations.report.closeup import Closeup, budget, closeup
from simulations.report.grid import Grid, grids
from simulations.report.summary import Cell, Standing, cells, measured, standings
from simulations.result import Figures
from simulations.store import Store
from simulations.traffic.trace import Trace
from simulations.workers import Job
from simulations.world import Conditions


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared with what."""

    policies: tuple[LoadedPolicy, ...]
    traces: tuple[Trace, ...]
    workloads: tuple[Workload, ...]
    seeds: tuple[int, ...]
    routings: tuple[Routing, ...] = ()
    """Empty: each workload's own."""
    with_reference: bool = True
    """Whether costs are compared with a plan that knows the future."""

    def __post_init__(self) -> None:
        """A name must mean one thing in a table.

        Raises:
            InvalidInput: two policies, traces or workloads have the same name, there is nothing to replay, a trace
                is too short, or a policy cannot be built.
        """
        problems = [
            *_once("policy", "policies", [policy.name for policy in self.policies]),
            *_once("trace", "traces", [trace.name for trace in self.traces]),
            *_once("workload", "workloads", [workload.name for workload in self.workloads]),
            *_once("seed", "seeds", [str(seed) for seed in self.seeds]),
            *_too_short(self.traces, Conditions().warm_up_s),
        ]
        if problems:
            raise InvalidInput(*problems)
        for policy, workload in product(self.policies, self.workloads):
            build(policy, workload)

    def replays(self) -> tuple[Replay, ...]:
        """Every single one, in the order of the tables."""
        return tuple(
            Replay(policy, trace, policy.serving(workload), seed)
            for workload, trace, policy, seed in product(self._routed(), self.traces, self.policies, self.seeds)
        )

    def reference(self, replay: Replay) -> Reference | None:
        """What the cost of a replay is measured against, if it is."""
        if not self.with_reference:
            return None
        return Reference(replay.trace, self.served()[replay.workload.name], replay.seed, replay.conditions)

    def jobs(self) -> tuple[Job, ...]:
        """All that must be computed, what takes long first."""
        replays = self.replays()
        references = {(r.trace.name, r.workload.name, r.seed): self.reference(r) for r in replays}
        return (*(each for each in references.values() if each), *replays)

    def served(self) -> Mapping[str, Workload]:
        """Workloads by the name that figures give."""
        return {workload.name: workload for workload in self.workloads}

    def counted(self) -> Mapping[str, bool]:
        """For each trace, whether means include it."""
        return {trace.name: trace.counted for trace in self.traces}

    def _routed(self) -> Iterator[Workload]:
        for workload in self.workloads:
            for routing in self.routings or (workload.routing,):
                yield replace(workload, routing=routing)


def _once(what: str, option: str, names: Sequence[str]) -> Iterator[str]:
    if not names:
        yield f"--{option}: nothing is named"
    for name, number in Counter(names).items():
        if number > 1:
            yield f"{what} {name}: named {number} times — each once, under a name of its own"


def _too_short(traces: Sequence[Trace], warm_up_s: float) -> Iterator[str]:
    """Said of all before the first replay, which would say it of one after hours."""
    for trace in traces:
        left_s = trace.duration_s - round(trace.eval_start_s / trace.bin_s) * trace.bin_s
        if left_s <= warm_up_s:
            yield (
                f"trace {trace.name}: {trace.duration_s:g} s long, evaluated from {trace.eval_start_s:g} s — allowed "
                f"is more than the warm-up of {warm_up_s:g} s from there"
            )


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished comparison says."""

    figures: tuple[Figures, ...]
    cells: tuple[Cell, ...]
    standings: tuple[Standing, ...]
    grids: tuple[Grid, ...]


def summary(comparison: Comparison, store: Store) -> Summary:
    """Everything but the timelines, in the order of the comparison; each replay must be in the store."""
    figures = tuple(_figures(comparison, store, replay) for replay in comparison.replays())
    served = comparison.served()
    allowed = {name: words.allowed(workload) for name, workload in served.items()}
    table = cells(figures, comparison.counted(), allowed)
    ranking = standings(table)
    return Summary(figures, table, ranking, grids(table, ranking, served))


def _figures(comparison: Comparison, store: Store, replay: Replay) -> Figures:
    figures, reference = store.figures(replay.key()), comparison.reference(replay)
    return measured(figures, store.figures(reference.key())) if reference else figures


def closeups(comparison: Comparison, store: Store) -> tuple[Closeup, ...]:
    """The replays of the first seed, for the plots over time; two timelines are in memory at a time."""
    shown = [replay for replay in comparison.replays() if replay.seed == comparison.seeds[0]]
    share = budget(len(shown))
    found = []
    for replay in shown:
        reference = comparison.reference(replay)
        against = store.load(reference.key()) if reference else None
        found.append(closeup(store.load(replay.key()), against, replay.workload, share))
    return tuple(found)
