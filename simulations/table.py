"""Write the comparison as a page, from what was measured so far: `python -m simulations.table --write FILE`.

Nothing is replayed here. What was not measured yet is named as such.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean

from autoscaler.cli.output import write
from autoscaler.model import InvalidInput
from simulations import hindsight, search, shipped, spaces, tuned
from simulations.report import contest
from simulations.report.contest import Contender, Kind, Place
from simulations.report.words import NOTHING, percent, times
from simulations.trials import code_digest
from simulations.tuned import Baseline, Common, Found

HEAD = """# The comparison over all recorded traces

Written by `python -m simulations.table`; nothing here is typed by hand. The published protocol: recorded traces, two
workloads, seeds 1, 2 and 3, one shared queue, every policy under the same loop and the same scrapes. Costs are
pod-hours of everything that holds a GPU, over the clairvoyant reference of seed 1; costs, misses and starts are means
over the seeds. A contender keeps a trace when it misses at most what the objective allows (1 %). Traces in *italics*
are out of reach of every policy at a sane cost and are left out of means.

Every peer is shown three times: *as shipped* (`policies/*.yaml`), with *one common setting* for all traces, and *tuned
on each trace*, both chosen in hindsight. Ours is shown as shipped: one file per workload; on traces with under four
days of history with a forecast of other services that was learned without the trace's family.

Regenerate, each step resumable (`make table` runs all of them, for hours):

```
python -m simulations.shipped --policies predictive,hpa,keda,kpa,fixed --jobs 2
python -m simulations.search tuned --jobs 2
python -m simulations.search common --rows 4 --jobs 2
python -m simulations.table --write docs/comparison.md
```
"""
NOT_MEASURED = "not yet measured"
FEW = 4
"""So many missing traces are named."""


def page(found: Found, digest: str) -> str:
    """The whole page.

    Args:
        found: what was measured.
        digest: of the code as it is now, for the note where the peers were tuned by other code.
    """
    parts = [HEAD]
    parts += ["\n".join(_missing(found, digest))]
    for workload in contest.workloads(found):
        known = contest.baselines(found, workload)
        all_ = contest.contenders(found, workload)
        counted = [trace for trace, base in known.items() if base.counted]
        parts += [
            f"## {workload}: in short\n\n" + "\n".join(_overall(all_, counted)),
            f"## {workload}: against peers tuned on each trace\n\n" + "\n".join(_against_tuned(all_, known)),
            f"## {workload}: one common setting\n\n" + "\n".join(_common(found, workload, known)),
            f"## {workload}: as shipped\n\n" + "\n".join(_as_shipped(all_, known)),
            f"## {workload}: settings tuned on each trace\n\n" + "\n".join(_settings(found, workload)),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _missing(found: Found, digest: str) -> Iterator[str]:
    """What a reader must know of the state of the page."""
    gaps = [*_gaps(found), *_fewer_seeds(found)]
    if gaps:
        yield "**Not complete.** Not yet measured:\n"
        yield from (f"- {gap}" for gap in gaps)
    if found.code and found.code != digest:
        yield (
            f"\nThe peers were tuned with the code of digest `{found.code}`, it is `{digest}` now; "
            "the tests replay winners on hour-long traces and find the same figures."
        )


def _gaps(found: Found) -> Iterator[str]:
    for workload in contest.workloads(found):
        known, all_ = contest.baselines(found, workload), contest.contenders(found, workload)
        there = {(each.name, each.kind): each for each in all_}
        names = [(contest.OURS, Kind.SHIPPED)]
        names += [(name, kind) for kind in Kind for name in ("hpa", "keda", "kpa", "fixed")]
        for name, kind in names:
            mine = there.get((name, kind))
            wanted = [trace for trace, base in known.items() if base.counted or kind is not Kind.COMMON]
            lacking = [each for each in wanted if not mine or each not in {*mine.places, *mine.unreachable}]
            if len(lacking) == len(wanted):
                yield f"{workload}: {name} {kind}"
            elif lacking:
                where = (
                    ", ".join(map(_name, lacking)) if len(lacking) <= FEW else f"{len(lacking)} of {len(wanted)} traces"
                )
                yield f"{workload}: {name} {kind} on {where}"


def _fewer_seeds(found: Found) -> Iterator[str]:
    """Policies as they ship of which not every seed was replayed."""
    traces: dict[tuple[str, str, tuple[int, ...]], int] = Counter(
        (each.workload, each.policy, tuple(seed for seed in found.seeds if seed not in each.seeds))
        for each in found.shipped
    )
    for (workload, policy, lacking), number in sorted(traces.items()):
        if lacking:
            seeds = " and ".join(map(str, lacking))
            yield f"{workload}: {policy} {Kind.SHIPPED} on {number} traces with seed {seeds}"


def _overall(all_: Sequence[Contender], counted: Sequence[str]) -> Iterator[str]:
    yield f"Over the {len(counted)} traces that count, as far as measured."
    yield ""
    yield _row(
        "contender",
        "",
        "kept",
        "mean cost",
        "geometric mean",
        "most missed",
        "starts an hour, median",
        "ours / its mean",
    )
    yield _row("---", "---", *["---:"] * 6)
    mine = contest.ours(all_)
    for each in all_:
        total = contest.overall(each, counted)
        if total is None:
            continue
        ratio = contest.against(mine, each, counted) if mine and each is not mine else None
        shown = (
            NOTHING
            if ratio is None
            else f"{ratio[1]:.2f}" + ("" if ratio[0] == len(counted) else f" ({ratio[0]} traces)")
        )
        whole = total.traces == len(counted)  # a mean over fewer traces would not compare
        starts = NOTHING if total.starts_per_hour is None else f"{total.starts_per_hour:.1f}"
        yield _row(
            f"**{each.name}**" if each is mine else each.name,
            each.kind.value,
            f"{total.kept} of {total.traces}",
            *(times(cost) if whole else NOTHING for cost in (total.cost_ratio, total.cost_ratio_geometric)),
            percent(total.most_missed_ratio),
            starts,
            shown,
        )
    ratios = contest.against_cheapest(all_, counted)
    if ratios:
        worst = max(ratios, key=lambda trace: ratios[trace])
        yield ""
        yield (
            f"Against the cheapest peer tuned in hindsight on each trace: geometric mean "
            f"**{geometric_mean(ratios.values()):.3f}** over {len(ratios)} traces; "
            f"worst {_name(worst)}, {ratios[worst]:.2f}."
        )


def _against_tuned(all_: Sequence[Contender], known: Mapping[str, Baseline]) -> Iterator[str]:
    tuned_ = contest.of_kind(all_, Kind.TUNED)
    mine = contest.ours(all_)
    if not tuned_:
        yield NOT_MEASURED
        return
    yield "Each place: cost over the reference / missed / starts an hour. **Bold**: beyond the objective."
    yield ""
    yield _row("trace", "ours, as shipped", *(each.name for each in tuned_), "cheapest", "ours / cheapest")
    yield _row("---", *["---:"] * (len(tuned_) + 3))
    ratios = contest.against_cheapest(all_, known)
    for trace, base in known.items():
        best = contest.cheapest(all_, trace)
        yield _row(
            _trace(trace, base),
            _shown(mine.places.get(trace) if mine else None),
            *("out of reach" if trace in each.unreachable else _shown(each.places.get(trace)) for each in tuned_),
            best[0] if best else NOTHING,
            f"{ratios[trace]:.2f}" if trace in ratios else NOTHING,
        )


def _common(found: Found, workload: str, known: Mapping[str, Baseline]) -> Iterator[str]:
    rows = [each for each in found.common if each.workload == workload]
    if not rows:
        yield NOT_MEASURED
        return
    yield "The setting that keeps most traces first, then what keeps fewer for less. The first is the family's winner."
    yield ""
    yield _row("family", "kept", "mean cost", "geometric mean", "most missed", "setting")
    yield _row("---", "---:", "---:", "---:", "---:", "---")
    for each in rows:
        marks = _marks(each, known)
        yield _row(
            each.family,
            f"{marks.kept} of {len(marks.marks)}",
            times(marks.cost_ratio),
            times(marks.cost_ratio_geometric),
            percent(max(mark.score.missed_ratio for mark in marks.marks.values())),
            spaces.words(marks.setting),
        )


def _marks(common: Common, known: Mapping[str, Baseline]) -> hindsight.Standing:
    standing = hindsight.Standing(next(iter(common.scores.values())).setting)
    for trace, score in common.scores.items():
        base = known[trace]
        kept, ratio = score.missed_ratio <= base.allowed, score.pod_hours / base.reference_pod_hours
        standing.marks[trace] = hindsight.Mark(score, kept, ratio)
    return standing


def _as_shipped(all_: Sequence[Contender], known: Mapping[str, Baseline]) -> Iterator[str]:
    shown = [each for each in all_ if each.kind is Kind.SHIPPED]
    if not shown:
        yield NOT_MEASURED
        return
    yield "Each place: cost over the reference / missed. **Bold**: beyond the objective."
    yield ""
    yield _row("trace", *(each.name for each in shown))
    yield _row("---", *["---:"] * len(shown))
    for trace, base in known.items():
        yield _row(_trace(trace, base), *(_shown(each.places.get(trace), starts=False) for each in shown))


def _settings(found: Found, workload: str) -> Iterator[str]:
    mine = [each for each in found.tuned if each.workload == workload and each.score and each.score.trials]
    if not mine:
        yield NOT_MEASURED
        return
    yield "Targets are busy pods a pod; misses by seed."
    yield ""
    yield _row("trace", "family", "setting", "missed")
    yield _row("---", "---", "---", "---")
    for each in mine:
        if each.score:
            missed = ", ".join(percent(trial.missed_ratio) for trial in each.score.trials)
            yield _row(_name(each.trace), each.family, spaces.words(each.score.setting), missed)


def _trace(trace: str, base: Baseline) -> str:
    return _name(trace) if base.counted else f"*{_name(trace)}*"


def _name(trace: str) -> str:
    return trace.replace("_", "\\_")


def _shown(place: Place | None, *, starts: bool = True) -> str:
    if place is None:
        return NOTHING
    missed = percent(place.missed_ratio)
    parts = [times(place.cost_ratio), missed if place.kept else f"**{missed}**"]
    if starts:
        parts.append(NOTHING if place.starts_per_hour is None else f"{place.starts_per_hour:.1f}")
    return " / ".join(parts)


def _row(*entries: str) -> str:
    return "| " + " | ".join(entries) + " |"


def main(arguments: Sequence[str]) -> int:
    """Write the page; bad input ends with 2."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, default=Path("-"), help="the page; - prints it")
    parser.add_argument("--peers", type=Path, default=search.DATA, help="what the search found")
    parser.add_argument("--shipped", type=Path, default=shipped.DATA, help="policies as they ship")
    options = parser.parse_args(arguments)
    try:
        found, others = tuned.load(options.peers), tuned.load(options.shipped)
        known = others.with_shipped(found.baselines, found.shipped)
        whole = replace(found, baselines=known.baselines, shipped=known.shipped)
        write(options.write, page(whole, code_digest()).encode())
    except InvalidInput as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
