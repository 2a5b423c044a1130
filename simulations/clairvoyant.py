"""The clairvoyant reference: what a plan costs that knows every arrival and every service time.

A plan is a number of serving pods for each second. It costs its pod-seconds, and one cold start for each pod
that it starts, because it orders a pod exactly one cold start before it is needed. A dynamic programme walks
through the seconds and keeps, for each number of pods, the cheapest path to it together with the exact state of
the queue on that path; a missed request costs a price, which is bisected until just as many are missed as the
objective permits. A very good plan, not a proven bound: the hard lower bound is `score.lower_bound_s`.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoscaler.loop import Target
from autoscaler.model import History, InvalidInput, Observation, Proposal, Rails, Step, Workload
from simulations import foresight
from simulations.draw import Traffic, cold_starts, draw
from simulations.foresight import Price, Problem
from simulations.run import Case
from simulations.traffic.trace import Trace
from simulations.world import Conditions, first_pods

Pods = npt.NDArray[np.int16]

NAME = "clairvoyant"
LEAST_PRICE_S, FIRST_PRICE_S, MOST_PRICE_S = 0.01, 1.0, 200.0
"""Pod-seconds per missed request: bounds of the search, and where it begins."""
ENOUGH = 0.99
"""The search ends when misses are between this and all of what is permitted."""
_FORMAT = b"1"
"""Part of the key of a kept plan; to be changed with the search."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Serving pods for each second of a replay, and what they cost."""

    pods: Pods
    """Shape (seconds,)."""
    pod_hours: float
    """Scored pod-seconds and cold starts."""
    missed_ratio: float
    """Share of the scored requests; above the objective's where no plan keeps it."""


def reference(trace: Trace, workload: Workload, seed: int, conditions: Conditions | None = None) -> Plan:
    """The clairvoyant plan of one replay, from the cache where it is there.

    Raises:
        InvalidInput: pods serve in batches, for which there is no plan.
    """
    conditions = conditions or Conditions()
    if workload.batching.size > 1:
        raise InvalidInput("there is no clairvoyant reference for pods that serve in batches")
    traffic = draw(trace, workload, seed)
    problem = pose(traffic, workload, conditions)
    kept = _cache_folder() / f"{_key(problem, workload)}.npz"
    plan = _load(kept)
    if plan is None:
        plan = solve(problem, workload.objective_share)
        _keep(kept, plan)
    return plan


def case(plan: Plan, trace: Trace, workload: Workload, seed: int, conditions: Conditions | None = None) -> Case:
    """A replay under the plan of the same traffic: the reference as a policy that knows the future."""
    conditions = conditions or Conditions()
    first = first_pods(draw(trace, workload, seed), workload, conditions)
    starts_s = cold_starts(trace.name, workload, seed)
    wanted = foresight.wanted(plan.pods, starts_s, first, int(conditions.first_tick_s))
    rails = Rails(workload.min_replicas, workload.max_replicas)
    return Case(trace, workload, NAME, Foresight(wanted, rails), seed, conditions)


@dataclass(frozen=True, slots=True)
class Foresight:
    """Makes the target when the clock of the replay is known."""

    wanted: Pods
    rails: Rails

    def __call__(self, history: History) -> Target:
        """The target for a replay that begins where the history ends."""
        return Target(NAME, ForesightPolicy(self.wanted, history.end_s), self.rails)


@dataclass(frozen=True, slots=True)
class ForesightPolicy:
    """Orders and drops pods by a list made beforehand; looks at the clock alone."""

    wanted: Pods
    """Pods that serve or start in each second; shape (seconds,)."""
    begin_s: float
    tick_s: float = 1.0
    lookback_s: float = 0.0

    def start(self) -> None:
        """Nothing is remembered."""

    def propose(self, memory: None, seen: Observation) -> tuple[None, Proposal]:
        """The size that the list says for this second."""
        second = min(int(seen.at_s - self.begin_s), len(self.wanted) - 1)
        pods = int(self.wanted[second])
        return memory, Proposal(pods, 0, (Step(NAME, pods, 0, "knows the future"),))


def pose(traffic: Traffic, workload: Workload, conditions: Conditions) -> Problem:
    """What the programme plans for, with the pods beyond which none could be of use."""
    seconds = math.ceil(traffic.duration_s)
    most_pods = min(workload.max_replicas, conditions.gpus)
    problem = Problem(
        arrival_s=traffic.arrival_s,
        service_s=traffic.service_s,
        arrived=np.searchsorted(traffic.arrival_s, np.arange(1.0, seconds + 1.0)),
        most=np.zeros(seconds, np.int64),
        first_pods=first_pods(traffic, workload, conditions),
        least=min(max(1, workload.min_replicas), most_pods),
        slots=workload.concurrency,
        cold_start_s=workload.cold_start.typical_s,
        objective_s=workload.objective_s,
        patience_s=workload.patience_s,
        scored=int(np.searchsorted(traffic.arrival_s, conditions.warm_up_s)),
        scored_from_s=conditions.warm_up_s,
    )
    need = foresight.need(problem, most_pods)
    most = foresight.highest_nearby(need, math.ceil(workload.cold_start.typical_s))
    return problem._replace(most=np.clip(most, problem.least, most_pods))


def solve(problem: Problem, objective_share: float) -> Plan:
    """Bisect the price of a miss until the plan misses just what the objective permits.

    Where many decisions hang on the same price, the plan for a little less rules up to a second that is
    bisected in turn, and the plan for a little more from there on.
    """
    requests = len(problem.arrival_s) - problem.scored
    permitted = math.floor((1 - objective_share) * requests)
    front = foresight.front(problem)

    def plan(first_s: float, later_s: float, later: int = 0) -> tuple[Pods, int]:
        return foresight.plan(problem, front, Price(first_s, later_s, later))

    low_s, high_s = LEAST_PRICE_S, FIRST_PRICE_S
    pods, missed = plan(high_s, high_s)
    while missed > permitted and high_s < MOST_PRICE_S:
        low_s, high_s = high_s, min(4 * high_s, MOST_PRICE_S)
        pods, missed = plan(high_s, high_s)
    while high_s / low_s > 1.02 and not _enough(missed, permitted):
        price_s = max(math.sqrt(low_s * high_s), high_s / 4)
        tried, missing = plan(price_s, price_s)
        if missing > permitted:
            low_s = price_s
        else:
            high_s, pods, missed = price_s, tried, missing
    begin, end = 0, len(problem.most)
    while end - begin > max(1, len(problem.most) // 300) and not _enough(missed, permitted):
        later = (begin + end) // 2
        tried, missing = plan(low_s, high_s, later)
        if missing > permitted:
            end = later
        else:
            begin, pods, missed = later, tried, missing
    return Plan(pods, _cost_s(problem, pods) / 3600, missed / requests if requests else 0.0)


def _enough(missed: int, permitted: int) -> bool:
    """Little of what is permitted is left; also where it is out of reach at any price."""
    return missed >= ENOUGH * permitted


def _cost_s(problem: Problem, pods: Pods) -> float:
    """Scored pod-seconds, and a cold start for each start that is scored."""
    scored = np.arange(len(pods)) >= problem.scored_from_s
    started = np.maximum(0, np.diff(pods.astype(np.int64), prepend=problem.first_pods))
    return float((pods + problem.cold_start_s * started)[scored].sum())


def _key(problem: Problem, workload: Workload) -> str:
    """Hash of everything that the plan depends on."""
    content = hashlib.sha256(_FORMAT)
    for part in problem:
        content.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    content.update(repr(workload.objective_share).encode())
    return content.hexdigest()


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speech-autoscaler" / NAME


def _load(path: Path) -> Plan | None:
    """A plan that was kept; None if there is none, or none that can be read."""
    try:
        with np.load(io.BytesIO(path.read_bytes())) as kept:
            return Plan(kept["pods"], float(kept["pod_hours"]), float(kept["missed_ratio"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(path: Path, plan: Plan) -> None:
    """Write a plan whole or not at all; a disk that is full or read-only costs the next run its time, no more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez_compressed(
                file, pods=plan.pods, pod_hours=np.float64(plan.pod_hours), missed_ratio=np.float64(plan.missed_ratio)
            )
        Path(file.name).replace(path)
    except OSError:
        return
