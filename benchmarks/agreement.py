"""Replay the peers on recorded traffic and hold the figures against those that an independent program published.

    python benchmarks/agreement.py [TRACE …] [--jobs N] [--write docs/agreement.md]

Reads `research/peers_measured.md` and the traces of `$SPEECH_SHARED` (default `../shared`). What is finished is kept
under `$XDG_CACHE_HOME`; a second run goes on from there.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import joblib
import orjson

from autoscaler.loop import Target
from autoscaler.model import Rails, Workload
from autoscaler.policies.hpa import HpaPolicy, HpaSettings
from autoscaler.policies.hpa.settings import MetricKind, MetricSpec, TargetKind
from autoscaler.policies.keda import KedaPolicy, KedaSettings
from autoscaler.policies.keda.settings import PrometheusTrigger
from autoscaler.policies.policy import AnyPolicy
from autoscaler.policies.windows import Windowed
from autoscaler.spec import find_workload
from simulations import clairvoyant, trials
from simulations.peers import Family, Fixed, Hpa, Kpa, Setting, windowed
from simulations.run import Case, run
from simulations.traffic import find

SHARED = Path(os.environ.get("SPEECH_SHARED") or Path(__file__).parents[2] / "shared")
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speech-autoscaler" / "agreement.jsonl"
SEED = 1
MOST_PODS = 60
COST_BAND = 0.03
MISSED_BAND = (0.003, 0.20)
"""Points, or share of the published value, whichever is larger."""
REFERENCE_BAND = 0.01
EXCEPTED = "azure_llm_code_2023"
"""No plan keeps the objective there."""


@dataclass(frozen=True)
class Published:
    """One figure of the published tables."""

    trace: str
    workload: str
    contender: str
    pod_hours: float
    missed_ratio: float | None
    setting: str = ""
    """As printed; empty for defaults."""

    @property
    def key(self) -> str:
        return f"{self.trace} {self.workload} {self.contender}"


@dataclass(frozen=True)
class Replayed:
    key: str
    pod_hours: float
    missed_ratio: float


# ---------------------------------------------------------------- what was published

DEFAULTS = {7: "HPA default", 8: "KEDA default", 9: "KEDA queue 5", 10: "KPA default"}
WINNERS = {"static": 11, "hpa": 12, "keda": 13, "kpa": 14}
_DEFAULT = re.compile(r"([\d.]+) / ([\d.]+) %")
_WINNER = re.compile(r"- (\S+) (tts|asr) (static|hpa|keda|kpa): (.+); misses ([\d.]+) %")


def published(text: str) -> list[Published]:
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if len(row) > 14 and row[2] in {"tts", "asr"}]
    reference = {(row[1], row[2]): float(row[5].split()[0]) for row in rows}
    found: list[Published] = []
    for row in rows:
        hours = reference[row[1], row[2]]
        found.append(Published(row[1], row[2], "reference", hours, None))
        for column, contender in DEFAULTS.items():
            ratio, missed = map(float, _DEFAULT.match(row[column]).groups())
            found.append(Published(row[1], row[2], contender, ratio * hours, missed / 100))
    ratios = {(row[1], row[2]): row for row in rows}
    for trace, workload, peer, setting, missed in _WINNER.findall(text):
        ratio = float(ratios[trace, workload][WINNERS[peer]].rstrip("*"))
        hours = ratio * reference[trace, workload]
        found.append(Published(trace, workload, f"{peer} winner", hours, float(missed) / 100, setting))
    return found


# ---------------------------------------------------------------- policies from printed settings

CODE = (*trials.CODE, "simulations/clairvoyant.py", "simulations/foresight.py")


def policy_of(case: Published, workload: Workload) -> AnyPolicy:
    match case.contender:
        case "HPA default":
            metric = MetricSpec(MetricKind.PODS, "load", TargetKind.AVERAGE_VALUE, 700)
            return HpaPolicy(HpaSettings(MOST_PODS, 1, (metric,), None), {"load": windowed("busy", 60.0, workload)})
        case "KEDA default":
            return keda(windowed("rate", 120.0, workload), 0.7)
        case "KEDA queue 5":
            return keda(windowed("queue", 0.0, workload), 5.0)
        case "KPA default":
            return Kpa(0.7, "concurrency").policy(workload)
    return setting_of(case).policy(workload)


def keda(reading: Windowed, target: float) -> KedaPolicy:
    """As shipped: without `behavior`."""
    settings = KedaSettings((PrometheusTrigger("load", target),), min_replicas=1, max_replicas=MOST_PODS)
    return KedaPolicy(settings, {"load": reading})


def setting_of(case: Published) -> Setting:
    values = dict(entry.rsplit(" ", 1) for entry in case.setting.split(", "))
    if case.contender == "static winner":
        return Fixed(int(values["replicas"]))
    target, metric, least = float(values["target"]), values["metric"], int(values["min"])
    if case.contender == "kpa winner":
        return Kpa(
            target,
            metric,
            stable_s=float(values["stable_window"]),
            panic_percent=float(values["panic_percent"]),
            panic_threshold=float(values["panic_threshold"]),
            delay_s=float(values["scale_down_delay"]),
            least=least,
        )
    return Hpa(
        target,
        metric,
        window_s=float(values["window"]),
        stabilization_s=int(float(values["stabilization_down"])),
        growth=values["up"],
        least=least,
        mode=values.get("mode", "external"),
        family=Family.KEDA if case.contender == "keda winner" else Family.HPA,
    )


# ---------------------------------------------------------------- replays


def replay(case: Published) -> Replayed:
    workload = find_workload(case.workload)
    trace = find(str(SHARED / "traces" / f"{case.trace}.csv.gz"))
    if case.contender == "reference":
        plan = clairvoyant.reference(trace, workload, SEED)
        return Replayed(case.key, plan.pod_hours, plan.missed_ratio)
    target = Target(case.contender, policy_of(case, workload), Rails(1, MOST_PODS))
    figures = run(Case(trace, workload, case.contender, lambda _: target, SEED)).figures
    return Replayed(case.key, figures.pod_hours, figures.missed_ratio)


def replay_all(cases: list[Published], jobs: int) -> dict[str, Replayed]:
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    version = trials.code_digest(CODE)
    done = {}
    if KEPT.exists():
        lines = map(orjson.loads, KEPT.read_bytes().splitlines())
        done = {line["key"]: Replayed(**line["replayed"]) for line in lines if line["version"] == version}
        done = {replayed.key: replayed for replayed in done.values()}
    missing = [case for case in cases if case.key not in done]
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    with KEPT.open("ab") as file:
        for number, replayed in enumerate(parallel(joblib.delayed(replay)(case) for case in missing), 1):
            line = {"key": replayed.key, "version": version, "replayed": vars(replayed)}
            file.write(orjson.dumps(line) + b"\n")
            file.flush()
            done[replayed.key] = replayed
            print(f"{number}/{len(missing)} {replayed.key}", flush=True)
    return done


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Row:
    published: Published
    replayed: Replayed

    @property
    def cost(self) -> float:
        return self.replayed.pod_hours / self.published.pod_hours

    @property
    def agrees(self) -> bool:
        before, now = self.published.missed_ratio, self.replayed.missed_ratio
        if before is None:
            within = now <= 0.01 or self.published.trace == EXCEPTED
            return within and (abs(self.cost - 1) <= REFERENCE_BAND or self.published.trace == EXCEPTED)
        points, share = MISSED_BAND
        return abs(self.cost - 1) <= COST_BAND and abs(now - before) <= max(points, share * before)


def lines(rows: list[Row]) -> Iterator[str]:
    yield "| trace | workload | contender | pod-hours published | here | ratio | missed published | here | agrees |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        said, found = row.published, row.replayed
        missed = "" if said.missed_ratio is None else f"{said.missed_ratio:.2%}"
        yield (
            f"| {said.trace} | {said.workload} | {said.contender} | {said.pod_hours:.2f} | {found.pod_hours:.2f} "
            f"| {row.cost:.3f} | {missed} | {found.missed_ratio:.2%} | {'yes' if row.agrees else '**no**'} |"
        )


def summary(rows: list[Row]) -> Iterator[str]:
    yield "| contender | cases | agree | largest difference in cost | largest difference in missed share (points) |"
    yield "|---|---|---|---|---|"
    for contender in dict.fromkeys(row.published.contender for row in rows):
        mine = [row for row in rows if row.published.contender == contender]
        cost = max(abs(row.cost - 1) for row in mine)
        points = [
            abs(row.replayed.missed_ratio - row.published.missed_ratio)
            for row in mine
            if row.published.missed_ratio is not None
        ]
        most = f"{100 * max(points):.2f}" if points else ""
        yield f"| {contender} | {len(mine)} | {sum(row.agrees for row in mine)} | {cost:.2%} | {most} |"


HEAD = """# Agreement with an independent program

Written by `python benchmarks/agreement.py --write docs/agreement.md`. The peers' defaults and the settings that win in
hindsight, as published with the protocol by another simulator, replayed here on seed {seed}: {agree} of {all} agree.

A replay agrees when its cost is within {cost:.0%} and its missed share within {points:.1f} points or {share:.0%} of the
published value, whichever is larger; the clairvoyant reference when its cost is within {reference:.0%} at no more than
1 % missed ({excepted} is excepted: no plan keeps the objective there).

How the settings are read: targets are busy pods per pod; a rate is multiplied by the mean service time; counters are
averaged between the newest scrape and the one nearest to the window's begin; nothing is decided before two scrapes; the
first scrape is at second 0. "HPA default" is a Pods metric without `behavior`; winners with mode external, and KEDA,
are External metrics with AverageValue over status.replicas (draining pods do not count) and targets in whole
thousandths; the KPA's panic window is at least 5 s, one scrape interval. Under these readings the figures agree to the
digits that were published, so no other reading was needed.
{reasons}
"""
NO_REASONS = ""
REASONS = """
Where they do not agree:

{lines}
"""


def document(rows: list[Row]) -> str:
    points, share = MISSED_BAND
    apart = "\n".join(f"- {row.published.key}: cost ratio {row.cost:.3f}" for row in rows if not row.agrees)
    head = HEAD.format(
        seed=SEED,
        agree=sum(row.agrees for row in rows),
        all=len(rows),
        cost=COST_BAND,
        points=100 * points,
        share=share,
        reference=REFERENCE_BAND,
        excepted=EXCEPTED,
        reasons=REASONS.format(lines=apart) if apart else NO_REASONS,
    )
    return "\n".join([head, *summary(rows), "", *lines(rows)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--contender", action="append", default=[])
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    cases = [
        case
        for case in published((SHARED / "research" / "peers_measured.md").read_text())
        if case.trace in (asked.traces or [case.trace]) and case.contender in (asked.contender or [case.contender])
    ]
    done = replay_all(cases, asked.jobs)
    text = document([Row(case, done[case.key]) for case in cases])
    print(text)
    if asked.write:
        with tempfile.NamedTemporaryFile("w", dir=asked.write.parent, delete=False) as file:
            file.write(text)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(asked.write)


if __name__ == "__main__":
    main()
