"""Searching settings in hindsight: the cheapest that keeps the objective on one trace, and the best common one.

Replays are what costs time, so each function asks for as few as it can and says which shortcut it takes. Pure but for
`measure`, which replays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, geometric_mean

from simulations.peers import Fixed, Setting
from simulations.spaces import neighbours, with_least
from simulations.trials import Trial

Measure = Callable[[Setting, int], Trial]
"""Replays one setting with one seed."""

RUNG = 1.01
"""Targets that are tried lie this factor apart: the cost of two neighbouring ones differs by 1 %."""
LEAST_TARGET, MOST_TARGET = 0.1, 1.2
SLOPE, SLOPE_OF_FIXED = 0.08, 0.5
"""By how much more requests miss from rung to rung, until two rungs were tried: logarithm, about what peers show."""
LONGEST_STEP = 24
HALVE_AFTER = 6
NEAR_ENOUGH = 0.98
"""A target is not searched on when this share of what may miss is used."""
WORTH = 0.995
"""Another structure is looked into where it promises to cost less than this much of the best one."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """When a setting keeps a trace: the mean over the seeds misses no more than is allowed."""

    seeds: tuple[int, ...]
    allowed: float


@dataclass(frozen=True, slots=True)
class Score:
    """A setting on one trace, seed by seed."""

    setting: Setting
    trials: tuple[Trial, ...]

    @property
    def missed_ratio(self) -> float:
        """Mean over the seeds that were replayed."""
        return fmean(trial.missed_ratio for trial in self.trials)

    @property
    def pod_hours(self) -> float:
        """Mean over the seeds that were replayed."""
        return fmean(trial.pod_hours for trial in self.trials)

    @property
    def starts_per_hour(self) -> float:
        """Mean over the seeds that were replayed."""
        return fmean(trial.starts_per_hour for trial in self.trials)


def judge(setting: Setting, measure: Measure, rule: Criterion, dearest: float = math.inf) -> tuple[Score, bool]:
    """The score of a setting, and whether it keeps the trace for less than `dearest` pod-hours.

    Seeds are left out once the others decide: what has been missed is more than all seeds together may miss, or what
    has been paid is as much as all of them may cost.
    """
    trials: list[Trial] = []
    for seed in rule.seeds:
        trials.append(measure(setting, seed))
        missed = sum(trial.missed_ratio for trial in trials)
        paid = sum(trial.pod_hours for trial in trials)
        if missed > rule.allowed * len(rule.seeds) or paid >= dearest * len(rule.seeds):
            return Score(setting, tuple(trials)), False
    return Score(setting, tuple(trials)), True


def cheapest(candidates: Iterable[Setting], measure: Measure, rule: Criterion) -> Score | None:
    """The cheapest of the candidates that keeps the trace, the first of equals; what an exhaustive search finds."""
    best: Score | None = None
    for setting in candidates:
        score, kept = judge(setting, measure, rule, best.pod_hours if best else math.inf)
        if kept:
            best = score
    return best


# ---------------------------------------------------------------- one knob: the target


def rung_of(setting: Setting) -> int:
    """The number of the target's rung; a higher one costs less and misses more."""
    if isinstance(setting, Fixed):
        return -setting.replicas
    return round(math.log(setting.target) / math.log(RUNG))


def at_rung(setting: Setting, rung: int) -> Setting:
    """The setting with another target, in whole thousandths."""
    if isinstance(setting, Fixed):
        return replace(setting, replicas=-rung)
    return replace(setting, target=round(RUNG**rung, 3))


def ends(setting: Setting, most_pods: int) -> tuple[int, int]:
    """The lowest and the highest rung."""
    if isinstance(setting, Fixed):
        return -most_pods, -1
    return rung_of(replace(setting, target=LEAST_TARGET)), rung_of(replace(setting, target=MOST_TARGET))


def best_target(setting: Setting, measure: Measure, rule: Criterion, most_pods: int) -> Score | None:
    """The highest rung that keeps the trace, from the setting's own on; None where not even the lowest does.

    Misses are taken to grow from rung to rung, so the rung where they pass the limit is closed in on: by a secant of
    their logarithm, and by halving where that does not get nearer.
    """
    lowest, highest = ends(setting, most_pods)
    keeps, breaks = lowest - 1, highest + 1
    best: Score | None = None
    missed: dict[int, float] = {}
    rung = min(max(rung_of(setting), lowest), highest)
    while breaks - keeps > 1:
        score, kept = judge(at_rung(setting, rung), measure, rule)
        missed[rung] = max(score.missed_ratio, 1e-5)
        if kept:
            best, keeps = score, rung
            if score.missed_ratio >= NEAR_ENOUGH * rule.allowed:
                break
        else:
            breaks = rung
        if breaks - keeps > 1:
            aim = _aim(rung, missed, rule.allowed, SLOPE_OF_FIXED if isinstance(setting, Fixed) else SLOPE)
            rung = min(max(aim, keeps + 1), breaks - 1) if len(missed) < HALVE_AFTER else (keeps + breaks) // 2
    return best


def _aim(rung: int, missed: Mapping[int, float], allowed: float, slope: float) -> int:
    """Where the secant through the nearest two rungs meets the limit."""
    others = sorted((other for other in missed if other != rung), key=lambda other: abs(other - rung))
    if others:
        slope = max(math.log(missed[others[0]] / missed[rung]) / (others[0] - rung), slope / 4)
    step = math.floor(math.log(allowed / missed[rung]) / slope)
    return rung + min(max(step, -LONGEST_STEP), LONGEST_STEP)


# ---------------------------------------------------------------- one trace


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of pods that a search stays within."""

    most_pods: int
    least_pods: tuple[int, ...] = ()
    """Minimums that are worth a try beside those next to the setting's own."""


def tune(starts: Sequence[Setting], measure: Measure, rule: Criterion, limits: Limits, rounds: int = 1) -> Score | None:
    """The cheapest setting found from some starting points: each one's target, then one knob after the other.

    A neighbour is replayed with one seed at the winner's target; only where that promises to cost less at equal
    misses, its own target is searched. A round begins anew from what the last one found.
    """
    found = [score for start in starts if (score := best_target(start, measure, rule, limits.most_pods))]
    if not found:
        return None
    best = min(found, key=lambda score: score.pod_hours)
    for _ in range(rounds):
        before = best
        for neighbour in (*neighbours(before.setting), *with_least(before.setting, limits.least_pods)):
            if _promises(neighbour, best, measure, rule):
                score = best_target(neighbour, measure, rule, limits.most_pods)
                if score and score.pod_hours < best.pod_hours:
                    best = score
        if best is before:
            break
    return best


def _promises(setting: Setting, best: Score, measure: Measure, rule: Criterion) -> bool:
    """Whether one seed lets hope for a lower cost, once the target is moved to where as many miss."""
    trial, known = measure(setting, rule.seeds[0]), best.trials[0]
    rungs = math.log(max(known.missed_ratio, 1e-5) / max(trial.missed_ratio, 1e-5)) / SLOPE
    return trial.pod_hours * math.pow(RUNG, -rungs) < WORTH * known.pod_hours


# ---------------------------------------------------------------- all traces


@dataclass(frozen=True, slots=True)
class Mark:
    """A setting on one trace of many."""

    score: Score
    kept: bool
    cost_ratio: float


@dataclass(slots=True)
class Standing:
    """A common setting over the traces that have been replayed so far."""

    setting: Setting
    marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Traces within what is allowed."""
        return sum(mark.kept for mark in self.marks.values())

    @property
    def cost_ratio(self) -> float:
        """Mean over the traces."""
        return fmean(mark.cost_ratio for mark in self.marks.values())

    @property
    def cost_ratio_geometric(self) -> float:
        """Geometric mean over the traces."""
        return geometric_mean(mark.cost_ratio for mark in self.marks.values())

    def most_kept(self, traces: int) -> int:
        """As many as it can still keep."""
        return self.kept + traces - len(self.marks)

    def least_cost(self, floors: Mapping[str, float]) -> float:
        """As little as it can still cost on the mean, given what no plan can undercut on each trace."""
        marks = self.marks
        return sum(marks[name].cost_ratio if name in marks else floor for name, floor in floors.items()) / len(floors)


def mark(setting: Setting, measure: Measure, rule: Criterion, reference_pod_hours: float) -> Mark:
    """A setting on one trace of many.

    The first seed decides alone where it misses at most half of what is allowed, or more than all seeds may together;
    else all are replayed.
    """
    first = measure(setting, rule.seeds[0])
    if first.missed_ratio <= rule.allowed / 2:
        score, kept = Score(setting, (first,)), True
    else:
        score, kept = judge(setting, measure, rule)
        kept = kept and score.missed_ratio <= rule.allowed
    return Mark(score, kept, score.pod_hours / reference_pod_hours)


def common(
    settings: Sequence[Setting], tries: Mapping[str, Callable[[Setting], Mark]], floors: Mapping[str, float], rows: int
) -> Iterator[list[Standing]]:
    """Settings that no other beats over all traces: the one that keeps most first, then cheaper ones that keep fewer.

    Yields after each replay what is complete by then; the last is the answer. A setting is dropped as soon as one that
    is complete keeps at least as many traces as it still can, for no more than it must cost, or as it cannot come
    within `rows` of the most.

    Args:
        settings: the candidates.
        tries: for each trace, what marks a setting on it.
        floors: for each trace, a cost ratio that no setting undercuts.
        rows: how many traces fewer than the most a setting may keep; 1: the winner alone.
    """
    standings = [Standing(setting) for setting in settings]
    traces = len(tries)
    failed = dict.fromkeys(tries, (1, 2))
    while True:
        complete = [each for each in standings if len(each.marks) == traces]
        most = max((each.kept for each in complete), default=0)
        yield undominated(complete, most - rows)
        open_ = [
            each
            for each in standings
            if len(each.marks) < traces
            and each.most_kept(traces) > most - rows
            and not any(_beats(other, each, traces, floors) for other in complete)
        ]
        if not open_:
            return
        ahead = max(open_, key=lambda each: (each.most_kept(traces), len(each.marks), -each.least_cost(floors)))
        name = max(
            (name for name in tries if name not in ahead.marks), key=lambda name: failed[name][0] / failed[name][1]
        )
        found = ahead.marks[name] = tries[name](ahead.setting)
        bad, all_ = failed[name]
        failed[name] = bad + (not found.kept), all_ + 1


def undominated(complete: Iterable[Standing], above: int) -> list[Standing]:
    """Most traces kept first, then each that keeps fewer at a lower cost; those that keep `above` or fewer left out."""
    front: list[Standing] = []
    for each in sorted(complete, key=lambda each: (-each.kept, each.cost_ratio)):
        if each.kept > above and (not front or each.cost_ratio < front[-1].cost_ratio):
            front.append(each)
    return front


def _beats(winner: Standing, other: Standing, traces: int, floors: Mapping[str, float]) -> bool:
    return winner.kept >= other.most_kept(traces) and winner.cost_ratio <= other.least_cost(floors)
