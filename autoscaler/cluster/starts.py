"""How long pods take from their order until they serve, phase by phase, as the API server notes it.

Of every start that was watched to its end. What a phase takes depends on the image and on which nodes a pod may run,
so starts are told apart by both.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import quantiles
from typing import Any

from autoscaler.cluster.objects import HASH_LABEL, Object, PodView, pod_view, seconds

PHASES = ("scheduled", "started", "ready")
"""Ends of the phases: on a node, all containers running, Ready; the first one begins with the order."""
KEPT = 200
"""Starts of one kind; older ones are forgotten."""
KINDS = 8
"""Of one Deployment; the one that was seen longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What pods have in common whose starts are alike."""

    images: tuple[str, ...]
    node_selector: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Start:
    """One start, from the order until the pod was Ready."""

    kind: Kind
    phases_s: tuple[float, ...]
    """How long each of `PHASES` took; the API's times have a resolution of a second."""


@dataclass(frozen=True, slots=True)
class StartingPod(PodView):
    """A pod with what is noted of its start."""

    deployment: str = ""
    start: Start | None = None
    """None before it is over, of a pod of which something is not noted or that began anew, and once it is counted."""
    over: bool = False
    """It has been Ready: that it is so again is no start."""


@dataclass(frozen=True, slots=True)
class Typical:
    """The starts of the kind that was seen last."""

    kind: Kind
    starts: int
    phases_s: Mapping[str, tuple[float, float]]
    """Median and 95 % quantile of each of `PHASES`."""

    def said(self) -> dict[str, Any]:
        """As it stands in a status."""
        phases = {phase: {"p50": median, "p95": slow} for phase, (median, slow) in self.phases_s.items()}
        images, nodes = list(self.kind.images), dict(self.kind.node_selector)
        return {"count": self.starts, "images": images, "nodeSelector": nodes, "seconds": phases}


def starting_pod(pod: Object) -> StartingPod:
    """Read a pod with its start."""
    seen = pod_view(pod)
    metadata = pod["metadata"]
    owners = (each["name"] for each in metadata.get("ownerReferences") or () if each.get("controller"))
    # A ReplicaSet is called as its Deployment, with the hash of its template (pkg/controller/deployment/sync.go).
    template = "-" + str((metadata.get("labels") or {}).get(HASH_LABEL, ""))
    deployment = next(owners, "").removesuffix(template)
    return StartingPod(seen.uid, seen.name, seen.owner, seen.ended, seen.pod, deployment, _start(pod))


def _start(pod: Object) -> Start | None:
    spec, status = pod.get("spec") or {}, pod["status"]
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    containers = status.get("containerStatuses") or ()
    running = [each.get("state", {}).get("running", {}).get("startedAt") for each in containers]
    moments = [
        pod["metadata"]["creationTimestamp"],
        conditions.get("PodScheduled", {}).get("lastTransitionTime"),
        max(running) if running and all(running) else None,
        conditions.get("Ready", {}).get("lastTransitionTime"),
    ]
    whole = conditions.get("Ready", {}).get("status") == "True" and all(moments)
    if not whole or any(each.get("restartCount") for each in containers):
        return None
    took_s = (max(0.0, end - begin) for begin, end in pairwise(seconds(str(moment)) for moment in moments))
    images = tuple(sorted(str(each.get("image")) for each in spec.get("containers") or ()))
    return Start(Kind(images, tuple(sorted((spec.get("nodeSelector") or {}).items()))), tuple(took_s))


class Starts:
    """The starts of all Deployments of a namespace. Safe between threads."""

    def __init__(self) -> None:
        self._of: dict[str, OrderedDict[Kind, deque[tuple[float, ...]]]] = {}
        self._typical: dict[str, Typical] = {}

    def followed(self, before: StartingPod | None, now: StartingPod) -> StartingPod:
        """Take what is known of a pod after a change, by the one thread that hears of pods.

        A start counts that was seen before it was over: one that was over before may have been so for long.
        """
        over = before is not None and before.over
        if before is not None and not over and now.start is not None:
            self._add(now.deployment, now.start)
        return replace(now, deployment="", start=None, over=over or now.pod.loaded_at_s is not None)

    def typical(self, deployment: str) -> Typical | None:
        """What is known of a Deployment's starts, the same object until another has ended; None before the first."""
        return self._typical.get(deployment)

    def _add(self, deployment: str, start: Start) -> None:
        kinds = self._of.setdefault(deployment, OrderedDict())
        seen = kinds.setdefault(start.kind, deque(maxlen=KEPT))
        seen.append(start.phases_s)
        kinds.move_to_end(start.kind)
        if len(kinds) > KINDS:
            kinds.popitem(last=False)
        columns = zip(PHASES, zip(*seen, strict=True), strict=True)
        phases_s = {phase: _median_and_slow(took_s) for phase, took_s in columns}
        self._typical[deployment] = Typical(start.kind, len(seen), phases_s)


def _median_and_slow(took_s: Sequence[float]) -> tuple[float, float]:
    if len(took_s) == 1:
        return took_s[0], took_s[0]
    cuts = quantiles(took_s, n=20, method="inclusive")
    return cuts[9], cuts[18]
