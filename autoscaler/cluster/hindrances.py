"""What keeps pods from starting, in the cluster's own words. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.model import Hindered, Hindrance

NAMED = 3
"""Pods named for each hindrance; `kubectl describe pod` says more of each."""
LONGEST = 400
"""Characters quoted."""

_NO_IMAGE = ("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName")
_FAILS = ("CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_HOPELESS = dict.fromkeys(_NO_IMAGE, Hindrance.NO_IMAGE) | dict.fromkeys(_FAILS, Hindrance.FAILS)
"""Reasons for which a container waits that time alone seldom mends (kubelet, pkg/kubelet/{container,images})."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Why one pod will not become Ready by itself."""

    hindrance: Hindrance
    message: str


@dataclass(frozen=True, slots=True)
class Unready:
    """That one pod is not Ready, which may end by itself."""

    since_s: float
    message: str


def halt_of(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> Halt | None:
    """Why a pod that is not Ready will not become so by itself; None: it may."""
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("reason") == "Unschedulable":
        return Halt(Hindrance.NO_NODE, _quoted("Unschedulable", scheduled.get("message")))
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = container.get("state", {}).get("waiting", {})
        if (hindrance := _HOPELESS.get(waiting.get("reason"))) is not None:
            return Halt(hindrance, _quoted(waiting["reason"], _ended(container), waiting.get("message")))
    return None


def unready_of(status: Mapping[str, Any], ready: Mapping[str, Any], since_s: float) -> Unready:
    """What a pod that is not Ready waits for, as far as the cluster says: `ready` is its condition of that name."""
    states = (each.get("state", {}) for each in status.get("containerStatuses") or ())
    reasons = dict.fromkeys(state.get("waiting", {}).get("reason") for state in states)
    return Unready(since_s, _quoted(*reasons, ready.get("message")))


def refusal_of(status: Mapping[str, Any]) -> str:
    """Why the API server takes no pod of a ReplicaSet (a quota, a limit range, an admission); empty where it does."""
    conditions = status.get("conditions") or ()
    failed = (each for each in conditions if (each["type"], each["status"]) == ("ReplicaFailure", "True"))
    return next((_quoted(each.get("message")) for each in failed if each.get("reason") == "FailedCreate"), "")


def hindered_of(refusals: Iterable[tuple[int, str]], halts: Iterable[tuple[str, Halt]]) -> tuple[Hindered, ...]:
    """The starts that do not go on, by what keeps them from it.

    Args:
        refusals: how many pods are not made, and why.
        halts: pods by name.
    """
    refused = [(count, message) for count, message in refusals if count and message]
    held: dict[Hindrance, list[tuple[str, Halt]]] = defaultdict(list)
    for name, halt in sorted(halts, key=lambda each: each[0]):
        held[halt.hindrance].append((name, halt))
    return (
        *(Hindered(Hindrance.REFUSED, sum(count for count, _ in refused), message) for _, message in refused[:1]),
        *(_together(each, held[each]) for each in Hindrance if each in held),
    )


def _together(hindrance: Hindrance, held: list[tuple[str, Halt]]) -> Hindered:
    return Hindered(hindrance, len(held), held[0][1].message, tuple(name for name, _ in held[:NAMED]))


def _ended(container: Mapping[str, Any]) -> str:
    """How a container ended before; empty where it did not."""
    ended = (container.get("lastState") or {}).get("terminated")
    return f"it ended with {ended.get('exitCode')} ({ended.get('reason', 'no reason')})" if ended else ""


def _quoted(*parts: str | None) -> str:
    """Words of the cluster, on one line and of bounded length."""
    line = " ".join(": ".join(filter(None, parts)).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
