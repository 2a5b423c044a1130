"""From the decision to the fewest writes that lead there.

Level-triggered: the plan depends on what is, not on what was written before, so any action may be
lost or repeated. On growth, what is loaded is used first: standby pods are promoted, then pods are ordered.
"""

from __future__ import annotations

from typing import Literal

from autoscaler.model import Action, Decision, Fleet, Phase, Pod, Relabel, Scale


def plan(decision: Decision, fleet: Fleet) -> tuple[Action, ...]:
    """Actions that bring the fleet to the decision; at most one scale write and one patch a pod."""
    actions: list[Action] = [*_promotions(decision, fleet), *_gatings(decision, fleet)]
    if decision.replicas != fleet.replicas:
        actions.append(Scale(decision.replicas, fleet.replicas, fleet.version, fleet.uid, fleet.revision))
    return tuple(actions)


def _promotions(decision: Decision, fleet: Fleet) -> list[Action]:
    """Loaded standby pods first, the longest loaded before the others; then gated ones that still load."""
    serving = fleet.count(Phase.SERVING)
    loaded = sorted(fleet.of(Phase.STANDBY), key=_loaded_at)
    promoted = loaded[: max(0, decision.serving - serving)]
    coming = [pod for pod in fleet.of(Phase.STARTING) if not pod.gated and not pod.stuck]
    lacking = decision.serving - serving - len(promoted) - len(coming)
    gated = [pod for pod in fleet.of(Phase.STARTING) if pod.gated and not pod.stuck]
    released = gated[: max(0, lacking)]
    return [_relabel(pod, "serving") for pod in (*promoted, *released)]


def _gatings(decision: Decision, fleet: Fleet) -> list[Action]:
    """New pods serve by themselves; those meant for standby are gated while they still load.

    As many as standby lacks, the latest orders first, and never one that serving still waits for.
    """
    if not decision.standby:
        return []
    starting = fleet.of(Phase.STARTING)
    have = fleet.count(Phase.STANDBY) + sum(pod.gated for pod in starting)
    free = [pod for pod in starting if not pod.gated]
    spare = len(free) - max(0, decision.serving - fleet.count(Phase.SERVING))
    take = max(0, min(decision.standby - have, spare))
    latest = sorted(free, key=lambda pod: pod.ordered_at_s, reverse=True)[:take]
    return [_relabel(pod, "standby") for pod in latest]


def _relabel(pod: Pod, role: Literal["serving", "standby", "draining"]) -> Relabel:
    return Relabel(pod.name, pod.uid, pod.version, role)


def _loaded_at(pod: Pod) -> float:
    return pod.loaded_at_s if pod.loaded_at_s is not None else pod.ordered_at_s
