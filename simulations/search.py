"""Tune the peers in hindsight, for each trace and in common: `python -m simulations.search tuned` and `... common`.

What is found goes into one file as it is found; every single replay is kept, so that an interrupted search goes on
where it was. A search begins at the settings that won last time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autoscaler.model import InvalidInput
from autoscaler.spec import find_workload
from simulations import clairvoyant, hindsight, spaces, tuned
from simulations.draw import draw
from simulations.hindsight import Criterion, Limits, Mark, Score
from simulations.peers import Family, Fixed, Hpa, Kpa, Setting
from simulations.report.words import allowed
from simulations.score import lower_bound_s
from simulations.traffic.find import expand, find
from simulations.trials import Case, Trials, code_digest
from simulations.tuned import Baseline, Common, Found, Tuned
from simulations.workers import Workers, spread
from simulations.world import Conditions

DATA = Path("docs/data/peers.json")
OUT = Path("out/search")
SEEDS = (1, 2, 3)
PODS_AT_FIRST = 16
"""Where the search of a constant begins: the traces are scaled so that about so many pods are busy at the peak."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be searched."""

    cases: tuple[Case, ...]
    families: tuple[Family, ...]
    seeds: tuple[int, ...]
    out: Path
    """Folder for single replays."""

    def rule(self, case: Case) -> Criterion:
        """When a setting keeps a trace."""
        return Criterion(self.seeds, allowed(case.workload))


def baseline(case: Case, seed: int) -> Baseline:
    """What costs on this traffic are held against."""
    plan = clairvoyant.reference(case.trace, case.workload, seed)
    return Baseline(case.trace.name, case.workload.name, case.trace.counted, allowed(case.workload), plan.pod_hours)


def floor_pod_hours(case: Case, seed: int) -> float:
    """What no plan can undercut."""
    traffic = draw(case.trace, case.workload, seed)
    return lower_bound_s(traffic, case.workload, Conditions().warm_up_s) / 3600


# ---------------------------------------------------------------- one setting for each trace


def tune(asked: Asked, case: Case, known: Found, rounds: int) -> tuple[Baseline, list[Tuned]]:
    """The cheapest setting of each family for one trace.

    A constant comes first: where none keeps the trace, no peer does; where one does, no peer need cost more.
    """
    rule, trials = asked.rule(case), Trials(case, asked.out)
    name, workload, most = case.trace.name, case.workload, case.workload.max_replicas
    pods = [each.replicas for each in known.starts(name, workload.name, Family.FIXED) if isinstance(each, Fixed)]
    constant = hindsight.best_target(Fixed((pods or [PODS_AT_FIRST])[0]), trials, rule, most)
    found = [Tuned(name, workload.name, Family.FIXED, constant)]
    for family in asked.families:
        if family is not Family.FIXED:
            starts = known.starts(name, workload.name, family) or first_settings(family)
            best = _tune_family(starts, trials, rule, rounds, constant) if constant else None
            found.append(Tuned(name, workload.name, family, best))
    return baseline(case, asked.seeds[0]), found


def _tune_family(
    starts: Sequence[Setting], trials: Trials, rule: Criterion, rounds: int, constant: Score
) -> Score | None:
    """From the starting points; beside them with minimums below the constant, and the constant itself."""
    pods = constant.setting.replicas if isinstance(constant.setting, Fixed) else 1
    limits = Limits(trials.case.workload.max_replicas, (pods // 2, pods - 4, pods - 2, pods - 1))
    best = hindsight.tune(starts, trials, rule, limits, rounds)
    if best and best.pod_hours <= constant.pod_hours:
        return best
    still = _never_fewer(starts[0], constant.setting)
    return hindsight.tune([still], trials, rule, limits, rounds) or best


def _never_fewer(setting: Setting, constant: Setting) -> Setting:
    """A constant in the family's own terms."""
    if isinstance(setting, Fixed) or not isinstance(constant, Fixed):
        return constant
    return replace(setting, least=constant.replicas, target=1.0)


def first_settings(family: Family) -> list[Setting]:
    """Where a search begins that knows nothing: a slow and a quick way down."""
    if family is Family.KPA:
        return [Kpa(0.7, delay_s=0.0), Kpa(0.7, stable_s=30.0, delay_s=300.0)]
    slow, quick = Hpa(0.7, stabilization_s=600), Hpa(0.7, stabilization_s=60)
    return [slow, quick] if family is Family.HPA else [replace(each, family=Family.KEDA) for each in (slow, quick)]


# ---------------------------------------------------------------- one setting for all traces


def tune_common(asked: Asked, workload: str, rows: int) -> tuple[list[Baseline], list[Common]]:
    """For each family the common settings that no other beats on the traces that count."""
    cases = [case for case in asked.cases if case.workload.name == workload and case.trace.counted]
    baselines = [baseline(case, asked.seeds[0]) for case in cases]
    floors = {
        each.trace: floor_pod_hours(case, asked.seeds[0]) / each.reference_pod_hours
        for case, each in zip(cases, baselines, strict=True)
    }
    tries = {
        each.trace: _Try(Trials(case, asked.out, keep=0), asked.rule(case), each.reference_pod_hours)
        for case, each in zip(cases, baselines, strict=True)
    }
    found = []
    for family in asked.families:
        front: list[hindsight.Standing] = []
        for front in hindsight.common(spaces.common(family), tries, floors, rows):
            replays = sum(each.trials.replayed for each in tries.values())
            say(f"{workload} {family}: {replays} replays, {len(front)} settings on the front so far")
        for standing in front:
            scores = {name: standing.marks[name].score for name in floors}
            found.append(Common(workload, family, scores))
    return baselines, found


@dataclass(frozen=True, slots=True)
class _Try:
    """Marks a setting on one trace."""

    trials: Trials
    rule: Criterion
    reference_pod_hours: float

    def __call__(self, setting: Setting) -> Mark:
        return hindsight.mark(setting, self.trials, self.rule, self.reference_pod_hours)


# ---------------------------------------------------------------- the command


def main(arguments: Sequence[str]) -> int:
    """Search; bad input ends with 2, Ctrl-C with 130."""
    options = _parser().parse_args(arguments)
    return ended(partial(_search, options), options)


def ended(work: Callable[[], None], options: argparse.Namespace) -> int:
    """Do resumable work that ends in the file `options.data`; gives the exit code, 2 for bad input, 130 for Ctrl-C."""
    try:
        work()
    except InvalidInput as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say(f"interrupted: finished replays are kept in {options.out}; the same command goes on from there")
        return 130
    if options.json:
        sys.stdout.buffer.write(options.data.read_bytes())
    return 0


def _search(options: argparse.Namespace) -> None:
    asked = Asked(
        cases=tuple(cases_of(options.traces, options.workloads)),
        families=tuple(_family(name) for name in options.families.split(",")),
        seeds=seeds_of(options.seeds),
        out=options.out,
    )
    options.data.parent.mkdir(parents=True, exist_ok=True)
    if options.which == "tuned":
        _search_tuned(asked, options.data, options.rounds, Workers(options.jobs))
    else:
        _search_common(asked, options.data, options.rows, Workers(options.jobs))


def _search_tuned(asked: Asked, data: Path, rounds: int, workers: Workers) -> None:
    known = tuned.load(data)
    began_s = time.monotonic()
    cases = sorted(asked.cases, key=lambda case: (not case.trace.counted, case.trace.counts.sum() * case.trace.scale))
    tasks = [(asked, case, known, rounds) for case in cases]
    for number, (base, found) in enumerate(spread(tune, tasks, workers), 1):
        known = replace(known, code=code_digest(), seeds=asked.seeds).with_tuned(base, found)
        tuned.save(data, known)
        since = f"{number} of {len(tasks)} ({time.monotonic() - began_s:.0f} s)"
        say(f"{since}: {base.trace} {base.workload}: {_costs(base, found)}")


def _search_common(asked: Asked, data: Path, rows: int, workers: Workers) -> None:
    known = tuned.load(data)
    workloads = dict.fromkeys(case.workload.name for case in asked.cases)
    for bases, found in spread(tune_common, [(asked, workload, rows) for workload in workloads], workers):
        known = replace(known, code=code_digest(), seeds=asked.seeds).with_common(bases, found)
        tuned.save(data, known)


def _costs(base: Baseline, found: Sequence[Tuned]) -> str:
    return ", ".join(
        f"{each.family} {each.score.pod_hours / base.reference_pod_hours:.3f}" if each.score else f"{each.family} –"
        for each in found
    )


def say(text: str) -> None:
    """Talk about progress."""
    print(text, file=sys.stderr, flush=True)


def cases_of(traces: str, workloads: str) -> Iterator[Case]:
    """Each trace under each workload; names with commas between them.

    Raises:
        InvalidInput: there is no such trace or workload.
    """
    served = [find_workload(name) for name in workloads.split(",")]
    for word in traces.split(","):
        for name in expand(word):
            trace = find(name)
            yield from (Case(trace, workload) for workload in served)


def _family(name: str) -> Family:
    try:
        return Family(name)
    except ValueError:
        raise InvalidInput(f"--families: {name!r} — one or more of {', '.join(Family)}") from None


def seeds_of(texts: str) -> tuple[int, ...]:
    """Seeds with commas between them.

    Raises:
        InvalidInput: one is no whole number.
    """
    problems = [f"--seeds: {text!r} — a whole number from 0" for text in texts.split(",") if not text.isdecimal()]
    if problems:
        raise InvalidInput(*problems)
    return tuple(sorted({int(text) for text in texts.split(",")}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulations.search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_subparsers(dest="which", required=True)
    each = which.add_parser("tuned", help="the cheapest setting that keeps the objective, for each trace")
    each.add_argument("--rounds", type=int, default=1, help="of turning every knob by a step; 0: the targets alone")
    one = which.add_parser("common", help="the one setting that keeps most traces, for each family")
    one.add_argument("--rows", type=int, default=1, help="1: the winner alone; 3: also what keeps up to 2 traces fewer")
    for command in (each, one):
        command.add_argument("--families", default=",".join(Family))
        add_common_options(command, OUT, DATA)
    return parser


def add_common_options(parser: argparse.ArgumentParser, out: Path, data: Path) -> None:
    """What every command has that replays for the comparison."""
    parser.add_argument("--traces", default="all", help="names or files, with commas between them")
    parser.add_argument("--workloads", default="tts,asr")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--jobs", type=int, default=1, help="processes; -1: one for each core")
    parser.add_argument("--out", type=Path, default=out, help="folder for finished replays")
    parser.add_argument("--data", type=Path, default=data, help="file of what was found; read, and written anew")
    parser.add_argument("--json", action="store_true", help="print that file at the end")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
