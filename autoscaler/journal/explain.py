"""A decision in words: what was seen, what each stage said, what ruled, what was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise

from autoscaler.model import Missing, Observation, Outcome, Phase, Reading, Scale, Scrape, Tick

Explained = tuple[Tick | None, Tick]
"""A tick behind the one before it, where there is one."""


def changes(ticks: Iterable[Tick]) -> Iterator[Explained]:
    """Ticks whose decision differs from the one before, in size or in what ruled; the first of all too."""
    before: Tick | None = None
    ruled: tuple[int, int, str] | None = None
    for tick in ticks:
        if tick.decision is None:
            continue
        now = (tick.decision.serving, tick.decision.standby, tick.decision.ruled_by)
        if now != ruled:
            yield before, tick
        before, ruled = tick, now


def at(ticks: Iterable[Tick], when_s: float) -> Explained | None:
    """The last decided tick at or before a time; None if there is none."""
    found: Explained | None = None
    for tick in ticks:
        if isinstance(tick.seen, Observation):
            if tick.seen.at_s > when_s:
                break
            found = (found[1] if found else None), tick
    return found


def clock(at_s: float) -> str:
    """A time as people write it, UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def when(tick: Tick) -> str:
    """The time of a tick, or a mark where the fleet could not be read."""
    return clock(tick.seen.at_s) if isinstance(tick.seen, Observation) else "(time unknown)"


def summary(tick: Tick) -> str:
    """One line: the size and the ruling reason."""
    decision = tick.decision
    if decision is None:
        return f"nothing decided: {tick.seen}"
    ruling = next(step for step in reversed(decision.steps) if step.stage == decision.ruled_by)
    return f"{_size(decision.serving, decision.standby)}, ruled by {decision.ruled_by}: {ruling.reason}"


def explain(tick: Tick, before: Tick | None = None) -> list[str]:
    """The whole derivation of one tick, line by line.

    `before` is the tick before it: the rates are the increases since its last scrape.
    """
    if isinstance(tick.seen, Missing) or tick.decision is None:
        return [f"{tick.target}: nothing decided", f"  the fleet could not be read: {tick.seen}"]
    decision, seen = tick.decision, tick.seen
    lines = [f"{tick.target} at {clock(seen.at_s)} UTC: {summary(tick)}", "seen"]
    lines += [f"  {line}" for line in _fleet(seen)]
    lines += [f"  {line}" for line in _signals(seen, before)]
    lines.append("stages")
    width = max(len(step.stage) for step in decision.steps)
    for step in decision.steps:
        mark = ">" if step.stage == decision.ruled_by else " "
        lines.append(f" {mark}{step.stage:<{width}}  {_size(step.serving, step.standby):<22}  {step.reason}")
    if decision.insight:
        lines.append("figures")
        lines += [f"  {name} {value:g}" for name, value in decision.insight.items()]
    lines.append("written")
    lines += [f"  {_outcome(outcome)}" for outcome in tick.outcomes] or ["  nothing: the size is as decided"]
    return lines


def _size(serving: int, standby: int) -> str:
    return f"{serving} serving" + (f" + {standby} standby" if standby else "")


def _fleet(seen: Observation) -> list[str]:
    fleet = seen.fleet
    counts = ", ".join(f"{fleet.count(phase)} {phase}" for phase in Phase if fleet.count(phase)) or "no pods"
    stuck = sum(pod.stuck for pod in fleet.pods)
    notes = [f"{stuck} of the starting ones stuck"] * bool(stuck) + ["a rollout is under way"] * fleet.rolling_out
    notes += [str(each) for each in fleet.hindered]
    notes += [f"{each.was} -> {each.replicas} by {each.by} at {clock(each.at_s)}" for each in fleet.rewrites]
    return [f"pods: {counts}; {fleet.replicas} asked for", *notes, *(["the target is paused"] * seen.paused)]


def _signals(seen: Observation, before: Tick | None) -> list[str]:
    scrapes = list(seen.signals.scrapes)
    lines = [f"missing: {problem}" for problem in seen.signals.problems]
    if not scrapes:
        return [*lines, "no new scrape since the last tick"]
    last = scrapes[-1]
    lines.append(f"{len(scrapes)} new scrape{'s' * (len(scrapes) > 1)}, the last {seen.at_s - last.at_s:.1f} s old")
    if before is not None and isinstance(before.seen, Observation):
        scrapes = list(before.seen.signals.scrapes[-1:]) + scrapes
    rate = _rate(scrapes)
    if rate is not None:
        lines.append(f"offered: {rate:.2f} requests/s since the scrape before")
    gauges = {"queued": last.queued, "in flight": last.in_flight, "busy slots": last.busy}
    lines += [f"{name}: {value:g}" for name, value in gauges.items() if not isinstance(value, Missing)]
    return lines


def _rate(scrapes: list[Scrape]) -> float | None:
    """Requests per second over the last two scrapes whose counter was read."""
    known = [(scrape.at_s, value) for scrape in scrapes if (value := _number(scrape.received)) is not None]
    for (start_s, first), (end_s, last) in list(pairwise(known))[-1:]:
        return (last - first) / (end_s - start_s)
    return None


def _number(reading: Reading) -> float | None:
    return None if isinstance(reading, Missing) else reading


def _outcome(outcome: Outcome) -> str:
    action = outcome.action
    what = (
        f"replicas {action.was} -> {action.replicas}" if isinstance(action, Scale) else f"{action.pod} -> {action.role}"
    )
    said = f" ({outcome.detail})" * bool(outcome.detail)
    return what + said if outcome.done else f"{what}: {'WITHHELD' if outcome.withheld else 'NOT DONE'}{said}"
