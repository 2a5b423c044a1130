"""What gated standby costs and misses where a standby pod is cheaper than a serving one.

`python benchmarks/standby.py --traces azfn_onoff,servegen_diurnal_a` replays the shipped policy of a workload on
recorded traces: as it is (spare pods serve), and with gated standby at 1.0, 0.5 and 0.1 of a serving pod's price.
What it costs is priced the same way. Prints the table of docs/standby.md. Needs the recorded traces ($SPEECH_SHARED).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from autoscaler.spec import LoadedPolicy, find_policy
from autoscaler.spec.policy import GatedStandby
from simulations.replay import Replay
from simulations.result import Figures
from simulations.traffic.find import find
from simulations.world import Conditions

PRICES = (1.0, 0.5, 0.1)
MOST = 59


def rows(workload: str, traces: Sequence[str], seed: int) -> Iterator[str]:
    """One line of the table for each trace and price, as they are done."""
    shipped = find_policy(f"predictive-{workload}")
    for name in traces:
        serving = _replayed(shipped, name, seed)
        yield _row(name, workload, "serving", serving, 1.0, serving.pod_hours)
        for price in PRICES:
            found = _replayed(_gated(shipped, price), name, seed)
            yield _row(name, workload, f"gated at {price:g}", found, price, serving.pod_hours)


def _gated(policy: LoadedPolicy, price: float) -> LoadedPolicy:
    standby = GatedStandby(mode="gated", min=0, max=MOST, price=price)
    spec = policy.spec.model_copy(update={"standby": standby})
    return replace(policy, file=policy.file.model_copy(update={"spec": spec}))


def _replayed(policy: LoadedPolicy, trace: str, seed: int) -> Figures:
    return Replay(policy, find(trace), policy.serving(None), seed, Conditions()).run().figures


def _row(trace: str, workload: str, name: str, found: Figures, price: float, serving_pod_hours: float) -> str:
    cost = found.pod_hours - (1 - price) * found.standby_pod_hours
    return (
        f"| {trace} | {workload} | {name} | {found.missed_ratio:.2%} | {found.pod_hours:.1f} | "
        f"{found.standby_pod_hours:.1f} | {cost:.1f} | {cost / serving_pod_hours:.3f} | {found.pod_starts} |"
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="tts", choices=("tts", "asr"))
    parser.add_argument("--traces", default="servegen_diurnal_a,twitter_stream_2021", help="names, by commas")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    print("| trace | workload | standby | missed | pod-hours | of them standby | cost | over serving | starts |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for row in rows(asked.workload, asked.traces.split(","), asked.seed):
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
