"""What each part of the predictive policy buys: the policy with one part off, and with what it is told being wrong.

    python benchmarks/ablations.py [--traces …] [--hours 24] [--workloads tts] [--seeds 1] [--only PART …] [--jobs N]

Production code has no switches for this: a part is taken off from outside, by other settings or by another function in
its place for the time of a replay. Cost is compared with the whole policy on the same trace and seed. What is finished
is kept under `$XDG_CACHE_HOME`; a second run goes on from there.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from statistics import fmean, geometric_mean
from unittest.mock import patch

import joblib
import numpy as np
import orjson

from autoscaler.cli.output import STDOUT, write
from autoscaler.forecast.dispersion import Dispersion
from autoscaler.forecast.mixture import GONE_S
from autoscaler.forecast.recent import Recent
from autoscaler.loop import Target
from autoscaler.model import ColdStart, History, Routing, Workload
from autoscaler.policies.build import build
from autoscaler.policies.predictive import PredictivePolicy, Settings
from autoscaler.policies.predictive import experience as experience_module
from autoscaler.policies.predictive import policy as policy_module
from autoscaler.policies.predictive.keeping import Wants
from autoscaler.policies.predictive.steering import MARGIN, Steering
from autoscaler.spec import find_policy, find_workload
from simulations.engine import kernel
from simulations.replay import trace_digest
from simulations.run import Case, run
from simulations.shipped import without_family
from simulations.store import code_version
from simulations.traffic.find import find
from simulations.traffic.trace import Trace
from simulations.world import Conditions, World

KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speech-autoscaler" / "ablations.jsonl"
TRACES = "mooncake_conversation,azfn_bursty,twitter_stream_2021"
WHOLE = "whole"
FINE_BIN_S = 5.0


def same(settings: Settings) -> Settings:
    return settings


def as_it_is(workload: Workload) -> Workload:
    return workload


def recorded(trace: Trace) -> Trace:
    return trace


@dataclass(frozen=True)
class Part:
    """One change to the policy, or to the world that it was not told of."""

    settings: Callable[[Settings], Settings] = same
    patched: Callable[[], AbstractContextManager[object]] = nullcontext
    """Another function, or constant, in the place of one."""
    world: Callable[[Workload], Workload] = as_it_is
    """What is served really."""
    told: bool = False
    """Whether the policy's file says so, too."""
    trace: Callable[[Trace], Trace] = recorded
    conditions: Conditions = field(default_factory=Conditions)


# ---------------------------------------------------------------- parts that are taken off


def one_price(settings: Settings) -> Settings:
    return replace(settings, price=replace(settings.price, least=settings.price.start, most=settings.price.start))


def without_backlog(settings: Settings) -> Settings:
    return replace(settings, backlog=replace(settings.backlog, threshold=math.inf))


def without_history_replayed(memory, settings, counts, known):  # noqa: ANN001, ANN201, ARG001 -- as `replay`
    experience_module.remember_all(memory, counts, known)


def without_hold() -> AbstractContextManager[object]:
    def ordered_alone(*given: object) -> Wants:
        wanted = experience_module.wants(*given)  # type: ignore[arg-type]
        return Wants(wanted.order, wanted.order, wanted.promised_rps, wanted.loss)

    return patch.object(policy_module, "wants", ordered_alone)


def without_recent() -> AbstractContextManager[object]:
    return patch.object(Recent, "window_ended", lambda recent, *_: recent.pending.oldest())


PERIODS_S, CLOCKS_S = (1800.0, 3600.0, 86400.0, 7 * 86400.0), np.array([1800.0, 3600.0, 86400.0])
"""Those of the features that no bin of a recording begins at: bins are of up to 300 s, and 600 and 900 s are theirs."""


def without_bin_edges() -> AbstractContextManager[object]:
    return patch.multiple("autoscaler.forecast.features", PERIODS_S=PERIODS_S, CLOCKS_S=CLOCKS_S)


def as_method(name: str, value: Callable[..., float]) -> Callable[[], AbstractContextManager[object]]:
    return lambda: patch.object(Steering, name, value)


# ---------------------------------------------------------------- what is not as it was said


def slow_start(workload: Workload) -> Workload:
    cold = workload.cold_start
    return replace(workload, cold_start=ColdStart(2 * cold.typical_s, 2 * cold.slow_s))


def served_in(factor: float) -> Callable[[Workload], Workload]:
    return lambda workload: replace(workload, service_mean_s=factor * workload.service_mean_s)


def routed(workload: Workload) -> Workload:
    return replace(workload, routing=Routing.RANDOM)


OUTAGE_S, OUTAGE_EVERY_S = 120.0, 1800.0


def with_outages() -> AbstractContextManager[object]:
    """Two minutes of every half hour are never scraped."""
    whole = World.advance

    def advance(world: World, until_s: float) -> None:
        rows, known = world._scrapes, len(world._scrapes)
        whole(world, until_s)
        new = [rows.pop() for _ in range(len(rows) - known)][::-1]
        rows.extend(row for row in new if row[kernel.NOW] % OUTAGE_EVERY_S >= OUTAGE_S)

    return patch.object(World, "advance", advance)


OTHER, DAY_S = "worldcup98_growth", 86400.0


def after_another(trace: Trace) -> Trace:
    """Seven days of another service's traffic as the history: the policy has learned what is no longer so."""
    other = find(OTHER)
    bins = round(7 * DAY_S / trace.bin_s)
    total = np.concatenate([[0.0], np.cumsum(other.counts)]) * other.scale / trace.scale
    edges_s = other.eval_start_s - (bins - np.arange(bins + 1)) * trace.bin_s
    history = np.diff(np.interp(edges_s, np.arange(len(total)) * other.bin_s, total))
    shift_s = bins * trace.bin_s - trace.eval_start_s
    return replace(
        trace,
        counts=np.concatenate([history, trace.counts[round(trace.eval_start_s / trace.bin_s) :]]),
        eval_start_s=bins * trace.bin_s,
        start_s=trace.start_s - shift_s,
        gaps_s=tuple((a + shift_s, b + shift_s) for a, b in trace.gaps_s if a >= trace.eval_start_s),
    )


def after_a_weeks_gap(trace: Trace) -> Trace:
    """All but the last hour of the last seven days was not measured."""
    end_s = trace.eval_start_s - 3600.0
    gap_s = max(0.0, trace.eval_start_s - 7 * DAY_S), end_s
    return replace(trace, gaps_s=(*trace.gaps_s, gap_s)) if end_s > 0 else trace


def interpolated(trace: Trace) -> Trace:
    """The rate runs on straight lines between the middles of the bins, instead of in steps at known times."""
    if trace.bin_s <= FINE_BIN_S or trace.arrivals_s is not None:
        return trace
    middles_s = (np.arange(len(trace.counts)) + 0.5) * trace.bin_s
    fine_s = (np.arange(round(trace.duration_s / FINE_BIN_S)) + 0.5) * FINE_BIN_S
    counts = np.interp(fine_s, middles_s, trace.counts) * FINE_BIN_S / trace.bin_s
    return replace(trace, bin_s=FINE_BIN_S, counts=counts)


PARTS = {
    WHOLE: Part(),
    "no bin-edge features": Part(patched=without_bin_edges),
    "no learned model": Part(patched=lambda: patch.object(policy_module, "learn", lambda *_: None)),
    "leaves learn at fits alone": Part(patched=without_recent),
    "nothing from other services": Part(settings=lambda settings: replace(settings, priors=None)),
    "no dispersion (Poisson assumed)": Part(patched=lambda: patch.object(Dispersion, "value", 1.0)),
    "one fixed price": Part(settings=one_price),
    "no correction by measured misses": Part(patched=as_method("correction", lambda *_: 1.0)),
    "no budget carried over": Part(patched=as_method("allowance", lambda _, rule: MARGIN * rule.budget)),
    "no replay of history": Part(patched=lambda: patch.object(policy_module, "replay", without_history_replayed)),
    "no backlog rule": Part(settings=without_backlog),
    "no hold window": Part(patched=without_hold),
    "no start price": Part(settings=lambda settings: replace(settings, start_price_s=0.0)),
    "rate interpolated between bins": Part(trace=interpolated),
    "a tenth of the scrapes lost": Part(conditions=Conditions(lost_ratio=0.1)),
    "two minutes of scrapes lost each half hour": Part(patched=with_outages),
    "a week of another service before": Part(trace=after_another),
    "the last week not measured": Part(trace=after_a_weeks_gap),
    "cold start doubled, not told": Part(world=slow_start),
    "cold start doubled, told": Part(world=slow_start, told=True),
    "service takes 0.8 of what was told": Part(world=served_in(0.8)),
    "service takes 1.2 of what was told": Part(world=served_in(1.2)),
    "random routing, not told": Part(world=routed),
    "random routing, told": Part(world=routed, told=True),
}


# ---------------------------------------------------------------- replays


@dataclass(frozen=True)
class Job:
    part: str
    trace: str
    workload: str
    seed: int
    hours: float
    """Most hours that are replayed."""


@dataclass(frozen=True)
class Done:
    pod_hours: float
    missed_ratio: float
    starts: int


def begun(trace: Trace, hours: float) -> Trace:
    """Its history and the first hours after it."""
    last = round((trace.eval_start_s + hours * 3600) / trace.bin_s)
    return replace(trace, counts=trace.counts[:last])


def replay(job: Job) -> tuple[Job, Done]:
    part, told = PARTS[job.part], find_workload(job.workload)
    served = part.world(told)
    trace = find(job.trace)
    file = find_policy(f"predictive-{job.workload}")
    if trace.eval_start_s < GONE_S:
        file = without_family(file, trace, KEPT.parent / "priors")

    def target(history: History) -> Target:
        policy, rails = build(file, served if part.told else told, history)
        if not isinstance(policy, PredictivePolicy):
            raise TypeError(f"{file.source} is no predictive policy")
        return Target(job.part, replace(policy, settings=part.settings(policy.settings)), rails)

    with part.patched():
        case = Case(begun(part.trace(trace), job.hours), served, job.part, target, job.seed, part.conditions)
        found = run(case).figures
    return job, Done(found.pod_hours, found.missed_ratio, found.pod_starts)


def replay_all(jobs: list[Job], cores: int) -> dict[Job, Done]:
    """What was kept of this very code, and the others now."""
    basis = {name: f"{code_version()} {trace_digest(find(name))}" for name in {job.trace for job in jobs}}
    done: dict[Job, Done] = {}
    if KEPT.exists():
        for record in map(orjson.loads, KEPT.read_bytes().splitlines()):
            job = Job(**record["job"])
            if record["basis"] == basis.get(job.trace):
                done[job] = Done(**record["done"])
    missing = [job for job in jobs if job not in done]
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    results = joblib.Parallel(n_jobs=cores, return_as="generator_unordered")(
        joblib.delayed(replay)(job) for job in missing
    )
    with KEPT.open("ab") as file:
        for number, (job, found) in enumerate(results, 1):
            done[job] = found
            file.write(orjson.dumps({"job": vars(job), "basis": basis[job.trace], "done": vars(found)}) + b"\n")
            file.flush()
            print(f"{number}/{len(missing)} {job}", flush=True)
    return {job: done[job] for job in jobs}


# ---------------------------------------------------------------- the table


def lines(done: dict[Job, Done], allowed: float) -> Iterator[str]:
    yield "| workload | part | cost | missed | over the objective | most missed | starts |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for workload, part in dict.fromkeys((job.workload, job.part) for job in done):
        mine = {job: found for job, found in done.items() if (job.workload, job.part) == (workload, part)}
        whole = [done[replace(job, part=WHOLE)] for job in mine]
        cost = geometric_mean(
            now.pod_hours / before.pod_hours for now, before in zip(mine.values(), whole, strict=True)
        )
        starts = sum(each.starts for each in mine.values()) / max(sum(each.starts for each in whole), 1)
        by_trace = {
            trace: fmean(found.missed_ratio for job, found in mine.items() if job.trace == trace)
            for trace in dict.fromkeys(job.trace for job in mine)
        }
        over = sum(missed > allowed for missed in by_trace.values())
        yield (
            f"| {workload} | {part} | {cost - 1:+.1%} | {fmean(by_trace.values()):.2%} | {over} of {len(by_trace)} "
            f"| {max(by_trace.values()):.2%} | {starts - 1:+.0%} |"
        )


HEAD = """# What each part of the predictive policy buys

Written by `python benchmarks/ablations.py`. Cost and starts against the whole policy on the same traces and seeds
(geometric mean of the ratios; sum); misses are means over the seeds. Traces: {traces}, at most {hours:g} hours of
each; seeds: {seeds}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", default=TRACES)
    parser.add_argument("--hours", type=float, default=24.0, help="most to replay of a trace, after its history")
    parser.add_argument("--workloads", default="tts")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--only", action="append", choices=[*PARTS][1:], default=[])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", type=Path, default=STDOUT)
    asked = parser.parse_args()
    parts = [WHOLE, *(asked.only or [*PARTS][1:])]
    places = product(asked.workloads.split(","), parts, asked.traces.split(","), map(int, asked.seeds.split(",")))
    jobs = [Job(part, trace, workload, seed, asked.hours) for workload, part, trace, seed in places]
    head = HEAD.format(traces=asked.traces, hours=asked.hours, seeds=asked.seeds)
    text = "\n".join([head, *lines(replay_all(jobs, asked.jobs), 0.01), ""])
    write(asked.write, text.encode())


if __name__ == "__main__":
    main()
