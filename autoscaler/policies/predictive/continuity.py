"""From one process to the next without a jump.

What cannot be measured again (the price and what it is judged by, the shadows' outcomes, learned starts, residuals,
the last hour at full resolution) is kept; the load of the past comes back from Prometheus. Until it has been learned
from, a memory that was recalled decides by its residuals at the price that was in force.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from autoscaler.forecast.gaps import mended
from autoscaler.forecast.leadtime import LeadTime, Windows
from autoscaler.forecast.mixture import Contest
from autoscaler.forecast.residual import Residuals
from autoscaler.forecast.series import LoadSeries, spread, spread_known
from autoscaler.model import History, InvalidInput
from autoscaler.policies.predictive.demand import Interval
from autoscaler.policies.predictive.experience import adopt, append_all, live, remember, slots_per_request
from autoscaler.policies.predictive.kept import (
    MOST_RECENT,
    VERSION,
    AverageKept,
    ContestKept,
    Kept,
    ServiceKept,
    ShadowsKept,
    SteeringKept,
    TrafficKept,
    TrustKept,
    WindowsKept,
    read,
)
from autoscaler.policies.predictive.memory import Average, Memory, Traffic
from autoscaler.policies.predictive.settings import Settings
from autoscaler.policies.predictive.shadows import MEMORY_S, Shadows
from autoscaler.policies.predictive.steering import WARM_UP_S, Steering

RECENT_S = 3600.0
"""So much of the load is kept in full: Prometheus is asked for minutes."""
OLDEST_S = MEMORY_S
"""What was kept longer ago has faded for those who count it, too."""
AHEAD_S = 300.0
"""Clocks of two machines may differ so far."""
DIGITS = 7


@dataclass(frozen=True, slots=True)
class Warm:
    """What a history taught beside the ticks, on its way into a memory that ticks meanwhile.

    Attributes:
        memory: its load and its model; where nothing had been kept, shadows that lived through it too.
        recalled: whether something had been kept, which then stays.
    """

    memory: Memory
    recalled: bool


def keep(memory: Memory, settings: Settings, at_s: float) -> bytes:
    """What of a memory cannot be measured again, as JSON of at most `MOST_BYTES`."""
    shadows, demand, borrowing = memory.shadows, memory.demand, memory.borrowing
    kept = Kept(
        version=VERSION,
        interval_s=settings.interval_s,
        objective_s=settings.workload.objective_s,
        at_s=at_s,
        history_s=memory.history_s,
        windows=WindowsKept.model_validate(memory.windows),
        starts_s=_short(memory.lead.starts_s),
        starts_as=memory.starts_as,
        order=_short(memory.order_residuals.counts),
        hold=_short(memory.hold_residuals.counts),
        steering=SteeringKept.model_validate(memory.steering),
        trust=TrustKept.model_validate(memory.trust),
        shadows=ShadowsKept(
            target=shadows.keeping.target.tolist(),
            misses=_short(shadows.misses),
            spent=_short(shadows.spent),
            promised=_short(shadows.promised),
            foreseen=shadows.foreseen,
            requests=shadows.requests,
        ),
        service=ServiceKept(
            mean_s=demand.law.mean_s,
            sure_miss_ratio=demand.law.sure_miss_ratio,
            squares=demand.arrivals.squares,
            means=demand.arrivals.means,
        ),
        traffic=_traffic(memory.traffic),
        contests=_contests(borrowing.contests) if borrowing else None,
    )
    return kept.model_dump_json().encode()


def _traffic(traffic: Traffic) -> TrafficKept:
    series = traffic.series
    count = min(round(RECENT_S / series.interval_s), MOST_RECENT)
    counts, known = _short(series.counts[-count:]), series.known[-count:].tolist()
    return TrafficKept(
        level=AverageKept.model_validate(traffic.level),
        daily=AverageKept.model_validate(traffic.daily),
        largest=traffic.largest,
        recent=[value if measured else None for value, measured in zip(counts, known, strict=True)],
        recent_end_s=None if math.isnan(series.end_s) else series.end_s,
    )


def _contests(contests: tuple[Contest, Contest]) -> tuple[ContestKept, ContestKept]:
    order, hold = (ContestKept.model_validate(each) for each in contests)
    return order, hold


def recall(kept: bytes, settings: Settings, at_s: float, fresh: Memory) -> Memory:
    """A memory that goes on from what was kept.

    Args:
        kept: what `keep` wrote.
        settings: of the policy that goes on.
        at_s: now.
        fresh: a memory before its first tick; it is filled.

    Raises:
        InvalidInput: not what `keep` writes, kept for another service, too long ago, or in the future.
    """
    found = read(kept)
    _check_fits(found, settings, at_s)
    gone_s = max(0.0, at_s - found.at_s)
    memory = fresh
    memory.history_s = found.history_s + max(found.steering.age_s - WARM_UP_S, 0.0)
    memory.observed_s = found.steering.age_s
    memory.windows = Windows(**found.windows.model_dump())
    memory.lead = LeadTime(settings.workload.cold_start, tuple(found.starts_s))
    memory.starts_as = found.starts_as
    memory.order_residuals = Residuals.of(settings.interval_s, found.order)
    memory.hold_residuals = Residuals.of(settings.interval_s, found.hold)
    memory.steering = Steering(**found.steering.model_dump())
    memory.steering.age_s = min(found.steering.age_s, WARM_UP_S)
    trust = memory.trust
    trust.own, trust.residual, trust.left = found.trust.own, found.trust.residual, found.trust.left
    memory.shadows = Shadows.begin(1, memory.windows.served_from, settings.bounds.max_pods)
    memory.shadows.keeping.target = np.minimum(found.shadows.target, settings.bounds.max_pods).astype(np.int64)
    memory.shadows.ordered[:] = memory.shadows.keeping.target
    memory.shadows.misses = np.array(found.shadows.misses)
    memory.shadows.spent = np.array(found.shadows.spent)
    memory.shadows.promised = np.array(found.shadows.promised)
    memory.shadows.foreseen = found.shadows.foreseen
    memory.shadows.requests = found.shadows.requests
    service, demand = found.service, memory.demand
    demand.law = replace(demand.law, mean_s=service.mean_s, sure_miss_ratio=service.sure_miss_ratio)
    demand.arrivals.squares, demand.arrivals.means = service.squares, service.means
    if memory.borrowing is not None and found.contests is not None:
        contests = [Contest(settings.interval_s, each.log_odds, each.load, each.windows) for each in found.contests]
        memory.borrowing.contests = contests[0], contests[1]
    _recall_traffic(memory, found, gone_s, settings)
    memory.cleared = True
    return memory


def _recall_traffic(memory: Memory, found: Kept, gone_s: float, settings: Settings) -> None:
    """The last hour, and the averages, which have faded since: what comes now soon outweighs them."""
    traffic, recent = memory.traffic, found.traffic.recent
    if found.traffic.recent_end_s is not None and recent:
        traffic.series.start_s = found.traffic.recent_end_s - len(recent) * settings.interval_s
        known = np.array([value is not None for value in recent])
        level = found.traffic.level.total / (found.traffic.level.weight or 1.0)
        counts = np.array([level if value is None else value for value in recent])
        append_all(traffic, counts, known, slots_per_request(memory))
    traffic.largest = found.traffic.largest
    traffic.level = _average(found.traffic.level, traffic.level, gone_s / settings.interval_s)
    traffic.daily = _average(found.traffic.daily, traffic.daily, gone_s / settings.interval_s)


def take_along(memory: Memory, before: Memory) -> None:
    """To a memory that was recalled add all that the one before knows of the service.

    That follows from what was seen alone, whatever was decided: so a log that is run again finds it, too.
    """
    memory.traffic, memory.demand = before.traffic, before.demand
    memory.model, memory.recent = before.model, before.recent
    memory.lead, memory.windows = before.lead, before.windows
    memory.order_residuals, memory.hold_residuals = before.order_residuals, before.hold_residuals
    memory.trust, memory.borrowing, memory.watch = before.trust, before.borrowing, before.watch
    memory.loaded, memory.knows_the_past = before.loaded, before.knows_the_past
    if memory.gate is not None and before.gate is not None:
        memory.gate.go_on(before.gate)
    memory.cleared = before.cleared


def relived(memory: Memory, history: History, settings: Settings, noise: np.random.Generator) -> None:
    """Put the history before, and what it knows of the time after, the load that was kept in full."""
    counts = spread(mended(history), history.bin_s, settings.interval_s, noise)
    known = spread_known(history, settings.interval_s)
    start_s = history.end_s - len(counts) * settings.interval_s
    recent, traffic = memory.traffic.series, memory.traffic
    if len(recent):
        first = round((recent.start_s - start_s) / settings.interval_s)
        kept = slice(max(first, 0), max(first + len(recent), 0))
        room = len(counts[kept])
        skipped = max(-first, 0)
        counts[kept], known[kept] = recent.counts[skipped:][:room], recent.known[skipped:][:room]
    level, daily, largest = traffic.level, traffic.daily, traffic.largest
    traffic.series = LoadSeries(settings.interval_s, start_s)
    append_all(traffic, counts, known, slots_per_request(memory))
    traffic.level, traffic.daily, traffic.largest = level, daily, max(largest, traffic.largest)


def joined(ticking: Memory, warm: Warm, settings: Settings) -> Memory:
    """The memory to go on with, when a history has been learned from while ticks went on."""
    if warm.recalled:
        _join_load(ticking, warm.memory)
        return ticking
    return _take_over(ticking, warm.memory, settings)


def _join_load(ticking: Memory, learned: Memory) -> None:
    """The whole past and the model; all else was recalled and has gone on since."""
    series = learned.traffic.series
    for interval in _since(ticking.traffic.series, series.end_s):
        series.append(interval.requests, known=interval.known)
    traffic = ticking.traffic
    traffic.last_high_s = max(traffic.last_high_s, learned.traffic.last_high_s)
    traffic.series = series
    traffic.largest = max(traffic.largest, learned.traffic.largest)
    ticking.observed_s = max(ticking.observed_s, len(series) * series.interval_s)
    if learned.model is not None:
        adopt(ticking, learned.model)


def _take_over(ticking: Memory, learned: Memory, settings: Settings) -> Memory:
    """A history's memory lives through what came while it was made, and takes over what ticks measured."""
    since = list(_since(ticking.traffic.series, learned.traffic.series.end_s))
    learned.demand, learned.lead, learned.loaded = ticking.demand, ticking.lead, ticking.loaded
    learned.starts_as = ticking.starts_as
    learned.keeping, learned.gate = ticking.keeping, ticking.gate
    learned.began_s, learned.next_fit_s = ticking.began_s, ticking.next_fit_s
    learned.observed_s = max(ticking.observed_s, learned.history_s)
    lived = learned.cleared  # a history that is too short to replay has left the shadows to the ticks
    for interval in since:
        remember(learned, interval)
        learned.steering.saw(interval.requests, settings.interval_s)
        if lived and interval.known:
            live(learned, settings, interval)
    if not lived:
        learned.shadows, learned.cleared = ticking.shadows, ticking.cleared
    ours, theirs = learned.steering, ticking.steering
    ours.price, ours.age_s = theirs.price, theirs.age_s
    ours.measured, ours.replayed, ours.counted = theirs.measured, theirs.replayed, theirs.counted
    return learned


def _since(series: LoadSeries, end_s: float) -> Iterable[Interval]:
    """Intervals after a time; the time before the first of them is filled with its load."""
    if math.isnan(series.start_s):
        return []
    first = round((end_s - series.start_s) / series.interval_s)
    counts, known = series.counts[max(first, 0) :], series.known[max(first, 0) :]
    gap = [Interval(float(counts[0]), 0.0, known=False)] * -first if first < 0 and len(counts) else []
    return gap + [
        Interval(float(count), 0.0, known=bool(measured)) for count, measured in zip(counts, known, strict=True)
    ]


def _check_fits(found: Kept, settings: Settings, at_s: float) -> None:
    problems = []
    if found.interval_s != settings.interval_s:
        problems.append(f"interval_s: {found.interval_s:g} — this policy counts in {settings.interval_s:g}")
    if found.objective_s != settings.workload.objective_s:
        problems.append(f"objective_s: {found.objective_s:g} — this service has {settings.workload.objective_s:g}")
    age_s = at_s - found.at_s
    if not -AHEAD_S <= age_s <= OLDEST_S:
        problems.append(f"at_s: kept {age_s:.0f} s ago — at most {OLDEST_S:.0f}, and not in the future")
    if problems:
        raise InvalidInput(*(f"kept memory: {problem}" for problem in problems))


def _average(kept: AverageKept, like: Average, intervals: float) -> Average:
    fade = like.keep**intervals
    return Average(like.keep, kept.total * fade, kept.weight * fade)


def _short(values: Iterable[float]) -> list[float]:
    """Numbers without the digits that nobody needs."""
    return [float(f"{value:.{DIGITS}g}") for value in values]
