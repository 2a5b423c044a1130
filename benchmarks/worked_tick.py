"""What one decision of the predictive policy weighs: `python benchmarks/worked_tick.py [HOURS]`.

Replays the bundled evening and prints, for the tick at that time, the expected misses and the cost of each number of
pods: the table of docs/predictive.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from autoscaler.loop import Target
from autoscaler.model import History, Observation, Proposal
from autoscaler.policies.build import build
from autoscaler.policies.predictive.experience import capacity, forecast, slots_per_request
from autoscaler.policies.predictive.memory import Memory
from autoscaler.policies.predictive.policy import PredictivePolicy
from autoscaler.policies.predictive.price import expected_misses_rps
from autoscaler.spec import find_policy, find_workload
from simulations.run import Case, run
from simulations.traffic.find import find


@dataclass(frozen=True, slots=True)
class Watched(PredictivePolicy):
    """The policy, whose decision at one moment is printed."""

    at_s: float = 0.0

    def propose(self, memory: Memory, seen: Observation) -> tuple[Memory, Proposal]:
        """As ever."""
        memory, proposal = PredictivePolicy.propose(self, memory, seen)
        if self.at_s <= seen.at_s < self.at_s + self.tick_s:
            print(weighed(self, memory, proposal))
        return memory, proposal


def weighed(policy: PredictivePolicy, memory: Memory, proposal: Proposal) -> str:
    """The figures of the decision, and the cost of the numbers of pods around it."""
    settings, law, price = policy.settings, memory.demand.law, proposal.insight["price"]
    level = memory.traffic.level.value * slots_per_request(memory)
    tables = capacity(memory, settings)
    order, hold = (
        expected_misses_rps(each, level, tables.carried, tables, law.mean_s) for each in forecast(memory, settings).laws
    )
    lines = [" ".join(f"{name}={value:.4g}" for name, value in proposal.insight.items())]
    lines += [f"{step.stage}: {step.serving} {step.reason}" for step in proposal.steps]
    lines += ["| pods | misses/s, order window | pods + price x misses | misses/s, hold window | the same |"]
    lines += ["| ---: | ---: | ---: | ---: | ---: |"]
    for pods in range(max(1, proposal.serving - 3), proposal.serving + 4):
        missed = order[pods - 1], hold[pods - 1]
        cells = [f"{value:.3f} | {pods + price * value:.3f}" for value in missed]
        lines.append(f"| {pods} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Replay the evening."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    loaded = find_policy("predictive-tts")
    workload = find_workload("tts")

    def target(history: History) -> Target:
        policy, rails = build(loaded, workload, history)
        assert isinstance(policy, PredictivePolicy)
        return Target(loaded.name, Watched(policy.settings, history, hours * 3600.0), rails)

    run(Case(find("demo-evening"), workload, "predictive-tts", target))


if __name__ == "__main__":
    main()
