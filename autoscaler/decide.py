"""The pipeline that every wish goes through: bounds, data, mode, contest, pause. Each stage gives its reason.

A policy returns a raw wish; bounds and holds are applied here, once. The peers' rules bring their own
tolerance, rates and stabilisation, so this pipeline adds nothing of that kind.
"""

from __future__ import annotations

from itertools import pairwise

from autoscaler.model import Decision, Fleet, Mode, Observation, Phase, Proposal, Rails, Step

REWRITES = 3
"""So many in ten minutes are a contest; a person who scales once is led back by the rule."""


def decide(proposal: Proposal, seen: Observation, rails: Rails) -> Decision:
    """Hold a wish within the guard rails.

    Bounds first, then the holds: on missing data and in `assist` nothing shrinks; a target that others size too, or
    that is paused, stays as it is. A hold asks for what is there, so nothing outside the bounds is ever written.
    """
    steps = list(proposal.steps) or [Step("policy", proposal.serving, proposal.standby, "no reason given")]
    wish = steps[-1] = _agree(steps[-1], proposal)
    now = _current(seen.fleet)

    bounded = _bound(wish, rails)
    if bounded is not wish:
        steps.append(bounded)
    served = seen.fleet.count(Phase.SERVING)
    if seen.signals.problems and _shrinks(steps[-1], now, served):
        steps.append(_held(steps[-1], now, served, "data", f"no shrink on {_names(seen)}"))
    if rails.mode is Mode.ASSIST and _shrinks(steps[-1], now, served):
        steps.append(_held(steps[-1], now, served, "mode", "assist: may grow, never shrink"))
    if len(seen.fleet.rewrites) >= REWRITES:
        steps.append(Step("contested", now.serving, now.standby, _contest(seen.fleet)))
    if seen.paused:
        steps.append(Step("pause", now.serving, now.standby, "the target is paused"))
    last = steps[-1]
    return Decision(seen.at_s, last.serving, last.standby, tuple(steps), _ruled_by(steps), proposal.insight)


def _agree(last: Step, proposal: Proposal) -> Step:
    """A policy's last step states its wish; anything else is a fault of the policy."""
    if (last.serving, last.standby) != (proposal.serving, proposal.standby):
        raise ValueError(f"the last step says {last.serving}+{last.standby}, the proposal {proposal}")
    return last


def _current(fleet: Fleet) -> Step:
    standby = min(fleet.standing_by, fleet.replicas)
    return Step("current", fleet.replicas - standby, standby, "as it is")


def _total(step: Step) -> int:
    return step.serving + step.standby


def _shrinks(wish: Step, now: Step, served: int) -> bool:
    """Whether there would be fewer pods, or fewer of them in service: even of those that somebody has scaled away."""
    return _total(wish) < _total(now) or wish.serving < max(now.serving, min(served, _total(wish)))


def _held(wish: Step, now: Step, served: int, stage: str, reason: str) -> Step:
    """The wish without what shrinks in it: pods that stand by may still be promoted."""
    total = max(_total(wish), _total(now))
    serving = max(wish.serving, now.serving, min(served, total))
    return Step(stage, serving, total - serving, reason)


def _names(seen: Observation) -> str:
    return "; ".join(str(problem) for problem in seen.signals.problems)


def _contest(fleet: Fleet) -> str:
    who = ", ".join(sorted({each.by for each in fleet.rewrites}))
    return f"{who} changed the size {len(fleet.rewrites)} times in ten minutes: one of us has to stop"


def _bound(wish: Step, rails: Rails) -> Step:
    """Serving pods have the first claim on the room under the maximum."""
    low, high = rails.min_replicas, rails.max_replicas
    serving = min(max(wish.serving, low - wish.standby), high)
    standby = min(wish.standby, high - serving)
    if (serving, standby) == (wish.serving, wish.standby):
        return wish
    return Step("bounds", serving, standby, f"{_total(wish)} held in [{low}, {high}]")


def _ruled_by(steps: list[Step]) -> str:
    ruling = steps[0]
    for before, after in pairwise(steps):
        if (after.serving, after.standby) != (before.serving, before.standby):
            ruling = after
    return ruling.stage
