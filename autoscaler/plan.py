"""From the decision to the fewest writes that lead there.

Level-triggered: the plan depends on what is, not on what was written before, so any action may be
lost or repeated. On growth, what is loaded is used first: standby pods are promoted, then drains are cancelled, then
pods are ordered. A pod that serves goes back to standby, or drains, only when enough others serve.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from autoscaler.model import Action, Decision, Drain, Fleet, Phase, Pod, Relabel, Scale

GRACE_S = 60.0
"""A pod that has drained for so long is taken away whatever it holds: a connection that never falls silent must not
keep a GPU for ever. SIGTERM gives it the server's own drain on top."""


def plan(
    decision: Decision, fleet: Fleet, drain: Drain = Drain.SIGTERM, idle: Collection[str] = ()
) -> tuple[Action, ...]:
    """Actions that bring the fleet to the decision; at most one scale write and one patch a pod.

    Args:
        decision: what shall be.
        fleet: what is.
        drain: how serving pods are taken away.
        idle: pods that are known to hold nothing.
    """
    left = [pod for pod in fleet.of(Phase.DRAINING) if not pod.ending]
    if drain is Drain.SIGTERM and not decision.standby and not fleet.standing_by and not left:
        return _sized(decision.replicas, decision, fleet)  # most ticks of most targets: nobody has a role but to serve
    roles = _Roles.of(fleet)
    promoted = _promoted(decision, roles)
    gated = _gated(decision, roles, promoted)
    actions: list[Action] = [*_relabels(promoted, "serving"), *_relabels(gated, "standby")]
    size = decision.replicas
    if drain is Drain.LABEL:
        free = [pod for pod in roles.serving if pod not in gated]
        kept, drained, size = _drains(decision, fleet, left, free, idle)
        actions += [*_relabels(kept, "serving"), *_relabels(drained, "draining")]
    else:  # what began to drain while that was done by label goes with a lower size, or serves
        spare = max(0, fleet.replicas - decision.replicas)
        actions += _relabels(left[: max(0, _of_size(left, fleet) - spare)], "serving")
    return (*actions, *_sized(size, decision, fleet))


def _sized(size: int, decision: Decision, fleet: Fleet) -> tuple[Action, ...]:
    size = max(size, _sure(decision, fleet)) if size < fleet.replicas else size
    if size == fleet.replicas:
        return ()
    return (Scale(size, fleet.replicas, fleet.version, fleet.uid, fleet.revision),)


def _sure(decision: Decision, fleet: Fleet) -> int:
    """The least size with which as many are loaded as shall be, whichever pods go.

    Of one template those that are not ready go first. Of two, such as a rollout leaves that will not go on, Kubernetes
    splits the lower size over both ReplicaSets: a pod that serves may go while one that never loads stays.
    """
    if len({pod.revision for pod in fleet.pods if not pod.ending}) < 2:
        return 0
    loaded = fleet.count(Phase.SERVING) + fleet.count(Phase.STANDBY)
    return fleet.replicas - max(0, loaded - decision.replicas)


@dataclass(frozen=True, slots=True)
class _Roles:
    """The pods of the size by what they do; each in the order in which it gives them up."""

    serving: Sequence[Pod]
    """The latest ordered first."""
    standby: Sequence[Pod]
    """The longest loaded first."""
    starting: Sequence[Pod]
    """Will serve; the latest ordered first. Without those whose start will not end."""
    gated: Sequence[Pod]
    """Will stand by."""
    rolling_out: bool

    @classmethod
    def of(cls, fleet: Fleet) -> _Roles:
        starts = sorted((pod for pod in fleet.of(Phase.STARTING) if not pod.stuck), key=_ordered_at, reverse=True)
        return cls(
            serving=sorted(fleet.of(Phase.SERVING), key=_ordered_at, reverse=True),
            standby=sorted(fleet.of(Phase.STANDBY), key=_loaded_at),
            starting=[pod for pod in starts if not pod.gated],
            gated=[pod for pod in reversed(starts) if pod.gated],
            rolling_out=fleet.rolling_out,
        )


def _promoted(decision: Decision, roles: _Roles) -> list[Pod]:
    """Loaded pods as far as fewer serve than shall; gated ones that still load as far as no others come."""
    lacking = decision.serving - len(roles.serving)
    loaded = list(roles.standby[: max(0, lacking)])
    released = roles.gated[: max(0, lacking - len(loaded) - len(roles.starting))]
    return [*loaded, *released]


def _gated(decision: Decision, roles: _Roles, promoted: Sequence[Pod]) -> list[Pod]:
    """As many pods as standby lacks.

    First those that still load and that serving does not wait for, the latest orders first; then serving ones that
    are not wanted in service: out of it they finish what they hold. Of those none while a rollout replaces pods:
    which of them end is not ours to say then.
    """
    lacking = decision.standby - (len(roles.standby) + len(roles.gated) - len(promoted))
    spare_starts = len(roles.starting) - max(0, decision.serving - len(roles.serving) - len(promoted))
    starts = roles.starting[: max(0, min(lacking, spare_starts))]
    spare = 0 if roles.rolling_out else len(roles.serving) - decision.serving
    return [*starts, *roles.serving[: max(0, min(lacking - len(starts), spare))]]


def _of_size(draining: Sequence[Pod], fleet: Fleet) -> int:
    """How many of them the size still counts: that it is lower shows before the pods that it costs are marked."""
    if fleet.rolling_out:
        return len(draining)  # a surge is beyond the size, too
    others = sum(not pod.ending for pod in fleet.pods) - len(draining)
    return min(len(draining), max(0, fleet.replicas - others))


def _drains(
    decision: Decision, fleet: Fleet, draining: Sequence[Pod], serving: Sequence[Pod], idle: Collection[str]
) -> tuple[Sequence[Pod], Sequence[Pod], int]:
    """Drains to cancel, pods to drain, and the size to write.

    The ReplicaSet controller takes pods that are not ready before it looks at costs. So while there are such pods the
    size is lowered by no more than them, and nothing that drains is counted out of it. A rollout would spread a lower
    size over the old and the new pods: it is waited for.
    """
    going = len(draining) - _of_size(draining, fleet)
    excess = fleet.replicas - (len(draining) - going) - decision.replicas
    if excess < 0:
        kept = draining[: min(-excess, len(draining) - going)]
        return kept, (), fleet.replicas - excess - len(kept)
    if fleet.rolling_out:
        return (), (), fleet.replicas
    unready = fleet.count(Phase.STARTING)
    if unready:
        return (), (), fleet.replicas - min(excess, unready)
    done = max(0, sum(_drained(pod, decision.at_s, idle) for pod in draining) - going)
    at_once = min(excess, max(0, fleet.count(Phase.STANDBY) - decision.standby))
    return (), serving[: excess - at_once], fleet.replicas - done - at_once


def _drained(pod: Pod, now_s: float, idle: Collection[str]) -> bool:
    since_s = pod.role_since_s
    return pod.name in idle or (since_s is not None and now_s - since_s > GRACE_S)


def _relabels(pods: Iterable[Pod], role: Literal["serving", "standby", "draining"]) -> list[Relabel]:
    return [Relabel(pod.name, pod.uid, pod.version, role) for pod in pods]


def _ordered_at(pod: Pod) -> float:
    return pod.ordered_at_s


def _loaded_at(pod: Pod) -> float:
    return pod.loaded_at_s if pod.loaded_at_s is not None else pod.ordered_at_s
