"""Starts that do not end, and what starts begin anew with.

Those that do not end are no capacity to come, and others are ordered in their place, but never a storm.

A start beyond its 99 % quantile is overdue (research note "algorithm", C.1). However many there are, at most a quarter
of the pods is ordered on top: where no node has room, more orders would not find one either.
"""

from __future__ import annotations

import math

from autoscaler.forecast.leadtime import LeadTime
from autoscaler.model import Fleet, Phase, Step
from autoscaler.policies.predictive.memory import Memory

OVERDUE = 0.99
MOST_SHARE = 0.25


def start_anew(memory: Memory, fleet: Fleet, *, learn_by_s: float) -> None:
    """A new image or other nodes start otherwise: forget the starts that were seen, and learn with new windows soon."""
    now = fleet.starts_as
    if now and memory.starts_as and now != memory.starts_as:
        memory.lead = memory.lead.forgotten()
        memory.next_fit_s = min(memory.next_fit_s, learn_by_s)
    memory.starts_as = now or memory.starts_as


def overdue(fleet: Fleet, lead: LeadTime, now_s: float, *, gated: bool = False) -> int:
    """Pods ordered to serve whose start is stuck, or later than all but one in a hundred; `gated`: to stand by."""
    starting = [pod for pod in fleet.of(Phase.STARTING) if pod.gated == gated]
    if not starting:
        return 0
    (late_s,) = lead.quantiles_s(OVERDUE)
    return sum(pod.stuck or now_s - pod.ordered_at_s > late_s for pod in starting)


def replaced(wish: Step, late: int, max_pods: int, *, gated: bool = False) -> tuple[Step, ...]:
    """The step that orders pods in place of late ones; none where there are none, or no room under the maximum.

    Args:
        wish: the step before.
        late: starts that are overdue.
        max_pods: serving and standing by, together.
        gated: of pods that shall stand by.
    """
    pods = wish.serving + wish.standby
    extra = min(late, math.ceil(MOST_SHARE * pods), max_pods - pods)
    if extra <= 0:
        return ()
    why = f"{late} {'starts are' if late > 1 else 'start is'} overdue and counts for nothing: {extra} more"
    spare = extra if gated else 0
    return (Step("starts", wish.serving + extra - spare, wish.standby + spare, why),)
