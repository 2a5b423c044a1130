"""What a night costs under the predictive policy, against a fleet that is provisioned for the peak.

`python benchmarks/nights.py` replays the shipped policy of a workload, and the smallest constant fleet that keeps the
same objective over the same hours; of each day the eight calmest hours in a row are its night. Prints the table of
docs/results.md. Needs the recorded traces ($SPEECH_SHARED); `--traces demo-evening` does without.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autoscaler.loop import Target
from autoscaler.model import Rails, Workload
from autoscaler.policies.fixed import FixedPolicy
from autoscaler.spec import find_policy
from simulations.replay import Replay
from simulations.result import Result, Timeline
from simulations.run import Case, run
from simulations.traffic.find import find
from simulations.traffic.trace import Trace

DAY_S, NIGHT_S = 86400.0, 8 * 3600.0
TRACES = ("servegen_diurnal_a", "callcentre_na_bank_2003", "worldcup98_group", "nasa_http_jul95", "tweets_amzn_2015")


def nights(timeline: Timeline) -> npt.NDArray[np.bool_]:
    """The steps of each whole day's eight calmest hours in a row; shape (steps,)."""
    day, night = round(DAY_S / timeline.step_s), round(NIGHT_S / timeline.step_s)
    chosen = np.zeros(len(timeline.arrivals), dtype=np.bool_)
    for first in range(0, len(chosen) - day + 1, day):
        came = np.convolve(timeline.arrivals[first : first + day], np.ones(night), mode="valid")
        begin = first + int(np.argmin(came))
        chosen[begin : begin + night] = True
    return chosen


def constant(trace: Trace, served: Workload, seed: int) -> tuple[int, Result]:
    """The smallest constant fleet that keeps the objective, and its replay."""
    low, high, found = 1, served.max_replicas, None
    while low < high or found is None:
        pods = (low + high) // 2
        rails = Rails(pods, pods)
        result = run(Case(trace, served, "fixed", lambda _, pods=pods, rails=rails: _fixed(pods, rails), seed))
        if result.figures.missed_ratio <= 1 - served.objective_share:
            high, found = pods, result
        elif low == high:
            break
        else:
            low = pods + 1
    if found is None:
        raise SystemExit(f"{trace.name}: {served.max_replicas} pods do not keep the objective")
    return high, found


def _fixed(pods: int, rails: Rails) -> Target:
    return Target("fixed", FixedPolicy(pods), rails)


def row(name: str, workload: str, seed: int) -> str:
    """One line of the table."""
    trace, policy = find(name), find_policy(f"predictive-{workload}")
    served = policy.serving(None)
    ours = Replay(policy, trace, served, seed).run()
    pods, fixed = constant(trace, served, seed)
    night = nights(ours.timeline)
    held = ours.timeline.serving + ours.timeline.starting + ours.timeline.standby + ours.timeline.draining
    hours, step_h = float(night.sum()) * ours.timeline.step_s / 3600.0, ours.timeline.step_s / 3600.0
    cost = float(held[night].sum()) * step_h
    late = [
        float((each.timeline.late + each.timeline.left)[night].sum() / each.timeline.arrivals[night].sum())
        for each in (ours, fixed)
    ]
    return (
        f"| {name} | {workload} | {pods} | {pods * hours:.0f} / {late[1]:.2%} | {cost:.0f} / {late[0]:.2%} "
        f"| {1 - cost / (pods * hours):.0%} | {ours.figures.missed_ratio:.2%}, {fixed.figures.missed_ratio:.2%} |"
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(prog="python benchmarks/nights.py", description=__doc__)
    parser.add_argument("--traces", default=",".join(TRACES), help="names, with commas between them")
    parser.add_argument("--workload", default="tts", choices=("tts", "asr"))
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    print("| trace | | constant pods | its nights: pod-hours / missed | ours | saved | missed in all, ours and its |")
    print("| --- | --- | ---: | --- | --- | ---: | --- |")
    for name in asked.traces.split(","):
        print(row(name, asked.workload, asked.seed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
