"""One replay as it is asked for: a policy file on a trace, for a workload, with a seed."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from autoscaler.forecast import priorfile
from autoscaler.loop import Target
from autoscaler.model import History, Routing, Workload
from autoscaler.policies.build import build
from autoscaler.ports import Journal
from autoscaler.spec import LoadedPolicy
from simulations import clairvoyant
from simulations.engine import kernel
from simulations.result import Result
from simulations.run import Case, run
from simulations.store import code_version
from simulations.traffic.trace import Trace
from simulations.world import Conditions


@dataclass(frozen=True, slots=True)
class Replay:
    """Plain values only, so that a replay can be named by its content and sent to another machine."""

    policy: LoadedPolicy
    trace: Trace
    workload: Workload
    """What is served, with the policy's bounds and the routing that is asked for."""
    seed: int = 1
    conditions: Conditions = field(default_factory=Conditions)

    def run(self, journal: Journal | None = None) -> Result:
        """Replay."""
        case = Case(self.trace, self.workload, self.policy.name, self._target, self.seed, self.conditions)
        return run(case, journal)

    def _target(self, history: History) -> Target:
        policy, rails = build(self.policy, self.workload, history)
        return Target(self.policy.name, policy, rails)

    def key(self) -> str:
        """Hash of everything that the result depends on, the code included."""
        policy = [self.policy.name, self.policy.file.model_dump(mode="json", by_alias=True), self._prior()]
        return _key(policy, self.trace, self.workload, self.seed, self.conditions)

    def _prior(self) -> str | None:
        """Name, by its content, of the file of models that the policy borrows from."""
        prior = self.policy.prior
        return priorfile.digest(prior.read_bytes()) if prior else None

    def __str__(self) -> str:
        return f"{self.policy.name} on {self.trace.name}, {self.workload.name}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a plan costs that knows the future; the same for every policy on this traffic."""

    trace: Trace
    workload: Workload
    """What is served, within its own bounds."""
    seed: int = 1
    conditions: Conditions = field(default_factory=Conditions)

    def run(self) -> Result:
        """Plan, and replay the plan. `reference_pod_hours` is the cost of the plan."""
        served = replace(self.workload, routing=Routing.SHARED_QUEUE)
        plan = clairvoyant.reference(self.trace, served, self.seed, self.conditions)
        case = clairvoyant.case(plan, self.trace, served, self.seed, self.conditions)
        return run(case, reference_pod_hours=plan.pod_hours)

    def key(self) -> str:
        """Hash of everything that the plan depends on, the code included; not the routing."""
        served = replace(self.workload, routing=Routing.SHARED_QUEUE)
        return _key(None, self.trace, served, self.seed, self.conditions)

    def __str__(self) -> str:
        return f"the clairvoyant reference on {self.trace.name}, {self.workload.name}, seed {self.seed}"


def _key(policy: object, trace: Trace, workload: Workload, seed: int, conditions: Conditions) -> str:
    content = {
        "code": code_version(),
        "policy": policy,
        "trace": trace_digest(trace),
        "workload": asdict(workload),
        "seed": seed,
        "conditions": asdict(conditions),
    }
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def trace_digest(trace: Trace) -> str:
    """Hash of the traffic: its numbers and its name (which picks the random streams), not where it came from."""
    digest = hashlib.sha256()
    digest.update(
        repr((trace.name, trace.bin_s, trace.scale, trace.eval_start_s, trace.start_s, trace.gaps_s)).encode()
    )
    digest.update(trace.counts.tobytes())
    if trace.arrivals_s is not None:
        digest.update(trace.arrivals_s.tobytes())
    return digest.hexdigest()


def routed(workload: Workload, routing: Routing | None) -> Workload:
    """The workload with another routing, if one is asked for."""
    return workload if routing is None else replace(workload, routing=routing)


def engine_is_compiled() -> bool:
    """Whether the engine's machine code is there from an earlier run."""
    advance: Any = kernel.advance
    return any(Path(advance.stats.cache_path).glob("kernel.advance-*.nbi"))
