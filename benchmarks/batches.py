"""What telling the policy of batches brings: `python benchmarks/batches.py [TRACE:WORKLOAD:HOURS:SIZE:SHARE ...]`.

Pods serve in batches in all of them; the predictive policy is told so by the workload's file, or is not. Prints a
Markdown table; the first replays of the defaults take a quarter of an hour on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from autoscaler.loop import Target
from autoscaler.model import Batching, History, Workload
from autoscaler.policies.build import build
from autoscaler.spec import find_policy, find_workload
from simulations.result import Figures
from simulations.run import Case, run
from simulations.traffic import Trace
from simulations.traffic.find import find

CASES = (
    "mooncake_conversation:tts:1:8:0.5",
    "nasa_http_jul95:tts:12:8:0.6",
    "worldcup98_group:tts:12:8:0.8",
    "twitter_stream_2021:asr:12:8:0.8",
)


def begun(trace: Trace, hours: float) -> Trace:
    """Its history and the first hours after it."""
    return replace(trace, counts=trace.counts[: round((trace.eval_start_s + hours * 3600) / trace.bin_s)])


def replayed(trace: Trace, served: Workload, told: Workload) -> Figures:
    """The shipped policy, told of one workload and serving another."""

    def target(history: History | None) -> Target:
        policy, rails = build(find_policy(f"predictive-{told.name}"), told, history)
        return Target("batches", policy, rails)

    return run(Case(trace, served, "predictive", target)).figures


def main(cases: Sequence[str]) -> None:
    """Print the table."""
    print("| trace | workload | hours | batches of | base share | told | pod-hours | missed | starts an hour |")
    print("| --- " * 9 + "|")
    for case in cases:
        name, workload, hours, size, share = case.split(":")
        alone = find_workload(workload)
        served = replace(alone, batching=Batching(int(size), float(share)))
        for word, told in (("no", alone), ("yes", served)):
            found = replayed(begun(find(name), float(hours)), served, told)
            figures = f"{found.pod_hours:.1f} | {found.missed_ratio:.2%} | {found.pod_starts / float(hours):.1f}"
            print(f"| {name} | {workload} | {hours} | {size} | {float(share):.0%} | {word} | {figures} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or CASES)
