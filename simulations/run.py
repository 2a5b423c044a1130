"""One replay: `run(Case) -> Result`, the one function under replay, compare, search and tune."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from autoscaler import __version__
from autoscaler.loop import Target, begin, tick
from autoscaler.model import History, InvalidInput, Scale, Tick, Workload
from autoscaler.ports import Journal
from simulations.draw import Traffic, draw
from simulations.result import Change, Figures, Result
from simulations.score import Run, score, timeline
from simulations.traffic.trace import Trace
from simulations.world import Conditions, World


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a replay depends on: equal cases give equal results."""

    trace: Trace
    workload: Workload
    policy: str
    """What the table calls it."""
    target: Callable[[History], Target]
    """Makes the target; a policy that learns may look at the history, the others ignore it."""
    seed: int = 1
    conditions: Conditions = field(default_factory=Conditions)


def run(case: Case, journal: Journal | None = None, reference_pod_hours: float | None = None) -> Result:
    """Replay one trace under one policy.

    Args:
        case: what is replayed.
        journal: sees every tick, beside what the result keeps of them.
        reference_pod_hours: cost of the clairvoyant plan, to which the cost is compared.

    Raises:
        InvalidInput: the trace is shorter than the warm-up.
    """
    traffic = draw(case.trace, case.workload, case.seed)
    conditions = case.conditions
    if traffic.duration_s <= conditions.warm_up_s:
        raise InvalidInput(
            f"trace {case.trace.name}: {traffic.duration_s:g} s are left to replay, "
            f"allowed is more than the warm-up of {conditions.warm_up_s:g} s"
        )
    world = World(case.trace.name, traffic, case.workload, case.seed, conditions)
    record = Record(world.origin_s + conditions.warm_up_s, journal)
    play(world, case.target(traffic.history), record, traffic.duration_s)
    return _result(case, traffic, world, record, reference_pod_hours)


def play(world: World, target: Target, journal: Journal, until_s: float) -> None:
    """Run the controller's own loop in a world, then serve what still waits."""
    first_s = world.conditions.first_tick_s
    world.advance(first_s)
    ports = world.ports(journal)
    state = begin(target, ports.clock.now_s())
    for number in count(1):
        state = tick(target, ports, state)
        at_s = first_s + number * target.policy.tick_s
        if at_s >= until_s:
            break
        world.advance(at_s)
    world.advance(until_s)
    world.engine.finish()


@dataclass(slots=True)
class Record:
    """A journal that keeps what a result shows, and hands every tick on."""

    scored_from_s: float
    onward: Journal | None = None
    decisions: int = 0
    ups: int = 0
    downs: int = 0
    changes: list[Change] = field(default_factory=list)
    insight: Mapping[str, float] = field(default_factory=dict)

    def append(self, tick: Tick) -> None:
        """Count the tick; keep it if it changed the size or what ruled it."""
        if self.onward is not None:
            self.onward.append(tick)
        decision = tick.decision
        if decision is None:
            return
        self.decisions += 1
        self.insight = decision.insight
        for outcome in tick.outcomes:
            if isinstance(outcome.action, Scale) and decision.at_s >= self.scored_from_s:
                self.ups += outcome.action.replicas > outcome.action.was
                self.downs += outcome.action.replicas < outcome.action.was
        last = self.changes[-1] if self.changes else None
        now = (decision.serving, decision.standby, decision.ruled_by)
        if last is None or now != (last.serving, last.standby, last.ruled_by):
            reasons = tuple((step.stage, step.serving, step.standby, step.reason) for step in decision.steps)
            self.changes.append(Change(decision.at_s, *now, reasons))


def _result(case: Case, traffic: Traffic, world: World, record: Record, reference_pod_hours: float | None) -> Result:
    workload, conditions = case.workload, case.conditions
    runs = world.engine
    happened = Run(traffic, runs.finish_s, runs.pod_log(), runs.queued_at_step, world.step_s)
    outcome = score(happened, workload, conditions.warm_up_s)
    pod_hours = outcome.pod_s / 3600
    figures = Figures(
        policy=case.policy,
        trace=case.trace.name,
        workload=workload.name,
        routing=workload.routing.value,
        seed=case.seed,
        requests=outcome.requests,
        late=outcome.late,
        left=outcome.left,
        missed_ratio=(outcome.late + outcome.left) / outcome.requests if outcome.requests else 0.0,
        latency_p50_s=outcome.latency_p50_s,
        latency_p99_s=outcome.latency_p99_s,
        pod_hours=pod_hours,
        starting_pod_hours=outcome.starting_s / 3600,
        standby_pod_hours=outcome.standby_s / 3600,
        lower_bound_pod_hours=outcome.lower_bound_s / 3600,
        reference_pod_hours=reference_pod_hours,
        cost_ratio=pod_hours / reference_pod_hours if reference_pod_hours else None,
        scale_ups=record.ups,
        scale_downs=record.downs,
        pod_starts=outcome.pod_starts,
        decisions=record.decisions,
        version=__version__,
        insight=dict(record.insight),
    )
    return Result(figures, timeline(happened, workload.objective_s), tuple(record.changes))
