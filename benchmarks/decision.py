"""What a decision of the predictive policy costs: two days of a replay, after fourteen of history.

    python benchmarks/decision.py [--workload tts] [--trace nasa_http_jul95] [--hours 48] [--json]

Without a recorded trace (`--trace made`) the traffic is made: a rhythm of days and bursts, from a seed. Times are the
processor's, on one core; other programs on the machine make all of them larger, so a reference is timed between the
decisions: scikit-learn's own walk of one row through a forest of the same size.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read once, when numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
import orjson
from sklearn.ensemble import ExtraTreesRegressor

from autoscaler.forecast.forest import MAX_ROWS
from autoscaler.forecast.trees import Settings as ForestSettings
from autoscaler.loop import Target
from autoscaler.model import History, Observation, Proposal
from autoscaler.policies.build import build
from autoscaler.policies.predictive import PredictivePolicy
from autoscaler.policies.predictive.memory import Memory
from autoscaler.spec import find_policy, find_workload
from simulations.run import Case, run
from simulations.traffic import Trace
from simulations.traffic.find import find

HISTORY_S, HOUR_S = 14 * 86400.0, 3600.0
REFERENCE_EVERY = 50
"""Decisions between two walks of the reference."""
FEATURES = 55


@dataclass(frozen=True)
class Found:
    """Seconds of processor time, but for the decisions and the reference: milliseconds."""

    decisions: int
    median_ms: float
    p99_ms: float
    reference_ms: float
    start_s: float
    """From the history to the first tick: a fit, two days lived by the shadows, another fit."""
    whole_s: float
    """The replay with its start, its refits and the simulated service."""


def made() -> Trace:
    """Sixteen days of minutes."""
    minute = np.arange(16 * 1440)
    random = np.random.default_rng(1)
    rate_rps = 12 + 9 * np.sin(2 * np.pi * minute / 1440) + 20 * (random.random(len(minute)) < 0.01)
    return Trace("made", 60.0, random.poisson(60 * rate_rps), eval_start_s=HISTORY_S)


def lately(trace: Trace, hours: float) -> Trace:
    """At most fourteen days of its history, and the first hours after it."""
    first = max(0, round((trace.eval_start_s - HISTORY_S) / trace.bin_s))
    last = round((trace.eval_start_s + hours * HOUR_S) / trace.bin_s)
    cut_s = first * trace.bin_s
    return replace(
        trace,
        counts=trace.counts[first:last],
        eval_start_s=trace.eval_start_s - cut_s,
        start_s=trace.start_s + cut_s,
        gaps_s=tuple((begin - cut_s, end - cut_s) for begin, end in trace.gaps_s if begin >= cut_s),
    )


def reference() -> Callable[[], object]:
    """One row through trees of as many rows and features, as scikit-learn offers it."""
    random, like = np.random.default_rng(1), ForestSettings()
    rows = random.random((MAX_ROWS, FEATURES))
    grown = ExtraTreesRegressor(like.trees, min_samples_leaf=like.min_rows_a_leaf, max_features=1, random_state=1)
    grown.fit(rows, rows[:, 0] + random.random(len(rows)))
    return lambda: grown.apply(rows[:1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed(PredictivePolicy):
    """The policy, each of its decisions timed."""

    taken_s: list[float]
    walked_s: list[float]
    walk: Callable[[], object]

    def propose(self, memory: Memory, seen: Observation) -> tuple[Memory, Proposal]:
        """As the policy does."""
        begin_s = time.process_time()
        told = PredictivePolicy.propose(self, memory, seen)
        self.taken_s.append(time.process_time() - begin_s)
        if len(self.taken_s) % REFERENCE_EVERY == 0:
            begin_s = time.process_time()
            self.walk()
            self.walked_s.append(time.process_time() - begin_s)
        return told

    def start(self) -> Memory:
        """As the policy does."""
        begin_s = time.process_time()
        memory = PredictivePolicy.start(self)
        self.taken_s.append(time.process_time() - begin_s)
        return memory


def measure(workload: str, trace: Trace, hours: float) -> Found:
    served, taken_s, walked_s = find_workload(workload), [], []
    walk = reference()

    def target(history: History) -> Target:
        policy, rails = build(find_policy(f"predictive-{workload}"), served, history)
        assert isinstance(policy, PredictivePolicy)
        timed = Timed(settings=policy.settings, history=history, taken_s=taken_s, walked_s=walked_s, walk=walk)
        return Target("timed", timed, rails)

    begin_s = time.process_time()
    run(Case(lately(trace, hours), served, "predictive", target))
    whole_s = time.process_time() - begin_s - sum(walked_s)
    start_s, decided_s = taken_s[0], np.array(taken_s[1:])
    return Found(
        decisions=len(decided_s),
        median_ms=1e3 * float(np.median(decided_s)),
        p99_ms=1e3 * float(np.quantile(decided_s, 0.99)),
        reference_ms=1e3 * float(np.median(walked_s)),
        start_s=start_s,
        whole_s=whole_s,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="tts")
    parser.add_argument("--trace", default="made")
    parser.add_argument("--hours", type=float, default=48.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.workload, made() if asked.trace == "made" else find(asked.trace), asked.hours)
    if asked.json:
        print(orjson.dumps(asdict(found)).decode())
        return
    print(f"{found.decisions} decisions, median {found.median_ms:.2f} ms, 99 % below {found.p99_ms:.2f} ms")
    ratio = found.median_ms / found.reference_ms
    print(f"scikit-learn's walk of one row {found.reference_ms:.2f} ms: a decision takes {ratio:.2f} of it")
    print(f"before the first tick {found.start_s:.1f} s; the whole replay {found.whole_s:.1f} s")


if __name__ == "__main__":
    main()
