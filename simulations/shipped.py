"""Replay policies as they ship over recorded traffic, for the comparison: `python -m simulations.shipped`.

`predictive` stands for the file of each workload. A trace with a short history is replayed with a forecast of other
services that was learned without the trace's family; with a long history the policy does not look at it.
Every finished replay is kept; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import fmean

from autoscaler.forecast.mixture import GONE_S
from autoscaler.spec import LoadedPolicy, find_policy
from autoscaler.spec.predictive import PredictiveRule
from simulations import prior, tuned
from simulations.replay import Replay
from simulations.search import SEEDS, add_common_options, baseline, cases_of, ended, say, seeds_of
from simulations.store import Store, code_version
from simulations.traffic.trace import Trace
from simulations.trials import Case
from simulations.tuned import Shipped
from simulations.workers import Workers, finish
from simulations.world import Conditions

DATA = Path("docs/data/shipped.json")
OUT = Path("out/shipped")
PREDICTIVE = "predictive"


def replays(policies: Sequence[str], cases: Sequence[Case], seeds: Sequence[int], priors: Path) -> list[Replay]:
    """Every single one.

    Raises:
        InvalidInput: there is no such policy, or no forecast of other services can be learned.
    """
    return [
        Replay(_policy(name, case, priors), case.trace, case.workload, seed)
        for case in cases
        for name in policies
        for seed in seeds
    ]


def _policy(name: str, case: Case, priors: Path) -> LoadedPolicy:
    """The shipped file, called by its family; with what other families taught where it would look at that."""
    if name != PREDICTIVE:
        return find_policy(name)
    policy = replace(find_policy(f"{PREDICTIVE}-{case.workload.name}"), name=PREDICTIVE)
    return policy if case.trace.eval_start_s >= GONE_S else without_family(policy, case.trace, priors)


def family_of(trace: Trace) -> str:
    """What the names of a family begin with: all that one publisher recorded."""
    return trace.name.partition("_")[0] + "_"


def without_family(policy: LoadedPolicy, trace: Trace, priors: Path) -> LoadedPolicy:
    """The policy with a forecast of other services that was learned without the trace's family, made if need be."""
    folder = priors / f"without-{family_of(trace).rstrip('_')}"
    if not (folder / "services.npz").exists():
        say(f"learning from other services without {family_of(trace)}*")
        prior.make(folder, [family_of(trace)], prior.SEED)
    rule = policy.spec.policy
    if not isinstance(rule, PredictiveRule):
        raise TypeError(f"{policy.source} is no predictive policy")
    borrows = rule.model_copy(update={"prior": str((folder / "services.npz").resolve())})
    spec = policy.spec.model_copy(update={"policy": borrows})
    return replace(policy, file=policy.file.model_copy(update={"spec": spec}))


def shipped(wanted: Iterable[Replay], store: Store) -> Iterator[Shipped]:
    """Means over the seeds that are in the store."""
    there = [(replay, key) for replay in wanted if (key := replay.key()) in store]
    for (policy, trace, workload), group in groupby(there, lambda each: _place(each[0])):
        members = list(group)
        figures = [store.figures(key) for _, key in members]
        hours = _scored_hours(members[0][0].trace)
        yield Shipped(
            policy=policy,
            trace=trace,
            workload=workload,
            seeds=tuple(each.seed for each in figures),
            missed_ratio=fmean(each.missed_ratio for each in figures),
            pod_hours=fmean(each.pod_hours for each in figures),
            starts_per_hour=fmean(each.pod_starts for each in figures) / hours,
            code=code_version()[:16],
        )


def _place(replay: Replay) -> tuple[str, str, str]:
    return replay.policy.name, replay.trace.name, replay.workload.name


def _scored_hours(trace: Trace) -> float:
    return (trace.duration_s - trace.eval_start_s - Conditions().warm_up_s) / 3600


def main(arguments: Sequence[str]) -> int:
    """Replay; bad input ends with 2, Ctrl-C with 130. What is finished is in the file in any case."""
    options = _parser().parse_args(arguments)
    return ended(partial(_replay, options), options)


def _replay(options: argparse.Namespace) -> None:
    cases = list(cases_of(options.traces, options.workloads))
    wanted = replays(options.policies.split(","), cases, seeds_of(options.seeds), options.out / "priors")
    options.data.parent.mkdir(parents=True, exist_ok=True)
    store = Store(options.out)
    try:
        with closing(finish(_quick_first(wanted), store, Workers(options.jobs))) as steps:
            for done, all_ in steps:
                say(f"{done} of {all_} replays")
    finally:
        _write(options.data, cases, list(shipped(wanted, store)))


def _quick_first(wanted: Iterable[Replay]) -> list[Replay]:
    return sorted(wanted, key=lambda each: (not each.trace.counted, each.trace.duration_s - each.trace.eval_start_s))


def _write(data: Path, cases: Iterable[Case], found: Sequence[Shipped]) -> None:
    """Add what is there to the file, with what its costs are held against where that is not there yet."""
    known = tuned.load(data)
    lacking = {(each.trace, each.workload) for each in found}
    lacking -= {(each.trace, each.workload) for each in known.baselines}
    bases = [baseline(case, SEEDS[0]) for case in cases if (case.trace.name, case.workload.name) in lacking]
    tuned.save(data, known.with_shipped(bases, found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulations.shipped", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--policies", default=PREDICTIVE, help=f"{PREDICTIVE}, hpa, keda, kpa, fixed or several of them"
    )
    add_common_options(parser, OUT, DATA)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
