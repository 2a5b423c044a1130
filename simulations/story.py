"""The story that standby pods exist for: `python -m simulations.story`.

Two requests a second become 35 at once and stay for five minutes; a request that has waited 30 s leaves. The shipped
policy `holiday-push` is replayed beside itself with fewer pods in reserve, and with pods in reserve that serve, at
several phases of the scrapes, with both routings. Prints the table of docs/standby.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import numpy.typing as npt

from autoscaler.loop import Target
from autoscaler.model import History, InvalidInput, Routing, Workload
from autoscaler.policies.build import build
from autoscaler.spec import LoadedPolicy, find_policy
from autoscaler.spec.policy import GatedStandby, ServingStandby
from autoscaler.spec.workload import Replicas
from simulations.draw import Traffic, draw
from simulations.run import Record, play
from simulations.score import Run, phases, score
from simulations.traffic.trace import Trace
from simulations.world import Conditions, World

Floats = npt.NDArray[np.float64]

CALM_RPS, PUSH_RPS = 2.0, 35.0
JUMP_S, PUSH_S, AFTER_S = 300.0, 300.0, 120.0
ENOUGH = 8
"""Pods that carry the push within the objective: it keeps 6.3 busy."""
IN_RESERVE = (0, 4, 6)
SCRAPE_S = 5.0
"""Between scrapes, as the shipped policy has it."""
SCRAPES_S = (1, 5, 15)
PHASES = tuple(np.arange(0.05, 1.0, 0.1).tolist())
"""Where between two scrapes the jump comes."""
TICK_AFTER_S = 0.7
"""The first tick is so long after a scrape."""
NO_PAST = History(1.0, np.zeros(0, np.int64), 0.0)
SETTLED_S = 22.0
"""By then the backlog of the jump shall be gone: what comes later shall be within the objective."""
LOOKED_AT_S = (5, 10, 20, 30, 45, 60, 90, 120, 180, 240, 299)
"""Seconds after the jump at which the serving pods are counted."""
WELL_S = 10
"""It is well again when the 99 % quantile of so many seconds of arrival in a row is within the objective."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One policy of the table."""

    name: str
    policy: LoadedPolicy


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one jump; times are seconds since it, inf where it did not come."""

    lost: int
    late_ratio: float
    """Of the requests that arrived during the push: answered late, or lost."""
    first_serves_s: float
    enough_serve_s: float
    well_again_s: float
    """Second of arrival from which on requests are within the objective again."""
    settled_late_ratio: float
    """Of the requests that arrived later than `SETTLED_S` in the push: answered late, or lost."""
    serving: tuple[int, ...]
    """Pods at `LOOKED_AT_S`."""
    pod_s: float
    """From the end of the warm-up to the end of the replay."""
    pushed_pod_s: float
    """During the push."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Traffic with a push in it."""

    traffic: Traffic
    at_s: float
    push_s: float

    @property
    def ends_s(self) -> float:
        """When the push is over."""
        return self.at_s + self.push_s


def variants(shipped: LoadedPolicy) -> list[Variant]:
    """The shipped policy, and what it is compared with.

    Raises:
        InvalidInput: its spare pods serve.
    """
    standby = shipped.spec.standby
    if not isinstance(standby, GatedStandby):
        raise InvalidInput(f"{shipped.name}: spec.standby.mode: serving — gated, to be compared with it")
    least = shipped.spec.replicas.min if shipped.spec.replicas else 1
    made = []
    for pods in IN_RESERVE:
        gated = standby.model_copy(update={"min": pods})
        made.append(Variant(f"gated {pods}", _with(shipped, gated, least - standby.min + pods)))
    for pods in IN_RESERVE:
        serving = ServingStandby(mode="serving")
        made.append(Variant(f"serving {pods}", _with(shipped, serving, least - standby.min + pods)))
    return made


def _with(policy: LoadedPolicy, standby: GatedStandby | ServingStandby, least: int) -> LoadedPolicy:
    bounds = policy.spec.replicas
    replicas = Replicas(min=least, max=bounds.max if bounds else least)
    spec = policy.spec.model_copy(update={"standby": standby, "replicas": replicas})
    return replace(policy, file=policy.file.model_copy(update={"spec": spec}))


def push(seed: int) -> Trace:
    """The traffic: Poisson arrivals, second by second."""
    seconds = np.arange(JUMP_S + PUSH_S + AFTER_S)
    pushed = (seconds >= JUMP_S) & (seconds < JUMP_S + PUSH_S)
    counts = np.random.default_rng(seed).poisson(np.where(pushed, PUSH_RPS, CALM_RPS))
    return Trace("push", 1.0, counts.astype(np.float64))


def tell(policy: LoadedPolicy, routing: Routing, seed: int, phase_s: float, scrape_s: float = SCRAPE_S) -> Told:
    """Replay one jump, which comes `phase_s` after a scrape."""
    trace, served = push(seed), replace(policy.serving(None), routing=routing)
    rule, rails = build(policy, served, NO_PAST)
    jump = Jump(draw(trace, served, seed), JUMP_S, PUSH_S)
    return replayed(jump, Target(policy.name, rule, rails), served, seed=seed, phase_s=phase_s, scrape_s=scrape_s)


def replayed(
    jump: Jump,
    target: Target,
    served: Workload,
    *,
    seed: int,
    phase_s: float,
    scrape_s: float = SCRAPE_S,
    tick_after_s: float = TICK_AFTER_S,
) -> Told:
    """Replay a jump that comes `phase_s` after a scrape; the first tick is `tick_after_s` after the first scrape."""
    first_scrape_s = (jump.at_s - phase_s) % scrape_s
    conditions = Conditions(
        scrape_s=scrape_s, scrape_phase_s=first_scrape_s, first_tick_s=first_scrape_s + tick_after_s
    )
    world = World("push", jump.traffic, served, seed, conditions)
    play(world, target, Record(0.0), jump.traffic.duration_s)
    runs = world.engine
    run = Run(jump.traffic, runs.finish_s, runs.pod_log(), runs.queued_at_step, world.step_s)
    return _told(run, jump, served.objective_s, score(run, served, conditions.warm_up_s).pod_s)


def _told(run: Run, jump: Jump, objective_s: float, pod_s: float) -> Told:
    arrival_s = run.traffic.arrival_s
    pushed = (arrival_s >= jump.at_s) & (arrival_s < jump.ends_s)
    latency_s = (run.finish_s - arrival_s)[pushed]
    settled = arrival_s[pushed] >= jump.at_s + SETTLED_S
    held = phases(run.pods, run.traffic.duration_s)
    begins, ends = held.serving
    in_push_s = [
        np.clip(till, jump.at_s, jump.ends_s) - np.clip(since, jump.at_s, jump.ends_s)
        for since, till in (held.starting, held.standby, held.serving, held.draining)
    ]
    return Told(
        lost=int(np.isinf(run.finish_s).sum()),
        late_ratio=float((latency_s > objective_s).mean()),
        first_serves_s=_first_s(begins, ends, jump, int(_serving(begins, ends, jump.at_s)) + 1),
        enough_serve_s=_first_s(begins, ends, jump, ENOUGH),
        well_again_s=_well_again_s(arrival_s[pushed] - jump.at_s, latency_s, objective_s, jump.push_s),
        settled_late_ratio=float((latency_s[settled] > objective_s).mean()),
        serving=tuple(int(_serving(begins, ends, jump.at_s + each_s)) for each_s in LOOKED_AT_S),
        pod_s=pod_s,
        pushed_pod_s=float(np.concatenate(in_push_s).sum()),
    )


def _serving(begins: Floats, ends: Floats, at_s: float) -> float:
    return float((begins <= at_s).sum() - (ends <= at_s).sum())


def _first_s(begins: Floats, ends: Floats, jump: Jump, pods: int) -> float:
    """Since the jump, when at least so many serve."""
    if _serving(begins, ends, jump.at_s) >= pods:
        return 0.0
    moments = np.sort(begins[(begins > jump.at_s) & (begins < jump.ends_s)])
    return next((float(at_s - jump.at_s) for at_s in moments if _serving(begins, ends, at_s) >= pods), float("inf"))


def _well_again_s(since_s: Floats, latency_s: Floats, objective_s: float, push_s: float) -> float:
    """The first second of arrival from which on ten in a row have their 99 % quantile within the objective."""
    seconds = [latency_s[(since_s >= at) & (since_s < at + 1)] for at in range(int(push_s))]
    well = [len(each) == 0 or np.quantile(each, 0.99, method="lower") <= objective_s for each in seconds]
    runs = (at for at in range(len(well) - WELL_S + 1) if all(well[at : at + WELL_S]))
    return float(next(runs, np.inf))


def table(policy: LoadedPolicy, seeds: Sequence[int], scrape_s: float) -> str:
    """Every variant with both routings; medians over phases and seeds, of times the worst too."""
    heads = ["standby", "routing", "lost at most", "late", "first more serves", "8 serve", "well again", "pod-seconds"]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for routing in (Routing.SHARED_QUEUE, Routing.LEAST_OUTSTANDING):
        for variant in variants(policy):
            told = [
                tell(variant.policy, routing, seed, phase * scrape_s, scrape_s) for seed in seeds for phase in PHASES
            ]
            lines.append(f"| {variant.name} | {routing.value} | {_row(told)} |")
    return "\n".join(lines)


def _row(told: Sequence[Told]) -> str:
    enough, well = [each.enough_serve_s for each in told], [each.well_again_s for each in told]
    return " | ".join(
        [
            str(max(each.lost for each in told)),
            f"{median(each.late_ratio for each in told):.1%}",
            f"{median(each.first_serves_s for each in told):.1f} s",
            f"{median(enough):.1f} s (worst {max(enough):.1f} s)",
            f"{median(well):.0f} s (worst {max(well):.0f} s)",
            f"{median(each.pod_s for each in told):.0f}",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m simulations.story", description=__doc__)
    parser.add_argument("--policy", default="holiday-push", help="a shipped policy, or the path of one")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scrape", type=int, choices=SCRAPES_S, default=5, help="seconds between scrapes")
    asked = parser.parse_args(arguments)
    try:
        print(table(find_policy(asked.policy), range(1, asked.seeds + 1), asked.scrape))
    except InvalidInput as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
