"""How long pods take from their order until they serve, phase by phase.

The API server notes the phases up to Ready; the last of them, the server's own loading, is told by the server. What a
phase takes depends on the image and on which nodes a pod may run, so starts are told apart by both, and by the type of
the node where nodes may be read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

    images: tuple[str, ...] = ()
    node_selector: tuple[tuple[str, str], ...] = ()
    node_type: str = ""
    """Of the node that it runs on; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class StartingPod(PodView):
    """A pod with what is noted of its start."""

    kind: Kind = Kind()
    """Without the type of its node."""
    node: str = ""
    deployment: str = ""
    replicated: bool = True
    """Its controller may be a ReplicaSet; False for a pod of a DaemonSet, a Job and the like."""
    phases_s: tuple[float, ...] | None = None
    """How long each of `PHASES` took; the API's times have a resolution of a second.

    None before the start is over, of a pod of which something is not noted or that began anew, and once it is counted.
    """
    first_ready_s: float | None = None
    """When it was first seen to be Ready: that it is so again is no start."""
    restarted: bool = False
    """One of its containers has ended and began anew."""


@dataclass(frozen=True, slots=True)
class Typical:
    """The starts of one kind. Times are median and 95 % quantile."""

    kind: Kind
    starts: int
    """That were watched from the order on."""
    phases_s: Mapping[str, tuple[float, float]]
    """By `PHASES`; empty before the first start."""
    loads: int
    """Pods whose server told what it did until it was ready."""
    loads_s: Mapping[str, tuple[float, float]]
    """By the server's own phases; they are parts of `ready`. Empty where no server told."""

    def said(self) -> dict[str, Any]:
        """As it stands in a status; what is not known is not there."""
        kind: dict[str, Any] = {"images": list(self.kind.images), "nodeSelector": dict(self.kind.node_selector)}
        if self.kind.node_type:
            kind["nodeType"] = self.kind.node_type
        told = (("", self.starts, self.phases_s), ("load", self.loads, self.loads_s))
        for name, count, times_s in told:
            if count:
                quantiles_s = {phase: {"p50": median, "p95": slow} for phase, (median, slow) in times_s.items()}
                figures = {"count": count, "seconds": quantiles_s}
                kind |= {name: figures} if name else figures
        return kind


@dataclass(slots=True)
class _Seen:
    """Of one kind, the newest last."""

    phases_s: deque[tuple[float, ...]] = field(default_factory=lambda: deque(maxlen=KEPT))
    loads_s: deque[Mapping[str, float]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def typical(self, kind: Kind) -> Typical:
        columns = zip(PHASES, zip(*self.phases_s, strict=True), strict=True) if self.phases_s else ()
        phases_s = {phase: _median_and_slow(took_s) for phase, took_s in columns}
        names = dict.fromkeys(name for load in self.loads_s for name in load)
        loads_s = {name: _median_and_slow([load[name] for load in self.loads_s if name in load]) for name in names}
        return Typical(kind, len(self.phases_s), phases_s, len(self.loads_s), loads_s)


def starting_pod(pod: Object) -> StartingPod:
    """Read a pod with its start."""
    seen, spec = pod_view(pod), pod.get("spec") or {}
    metadata = pod["metadata"]
    owners = [each for each in metadata.get("ownerReferences") or () if each.get("controller")]
    # A ReplicaSet is called as its Deployment, with the hash of its template (pkg/controller/deployment/sync.go).
    template = "-" + str((metadata.get("labels") or {}).get(HASH_LABEL, ""))
    images = tuple(sorted(str(each.get("image")) for each in spec.get("containers") or ()))
    return StartingPod(
        *(seen.uid, seen.name, seen.owner, seen.ended, seen.pod, seen.halt, seen.unready),
        kind=Kind(images, tuple(sorted((spec.get("nodeSelector") or {}).items()))),
        node=spec.get("nodeName") or "",
        deployment="".join(each["name"] for each in owners).removesuffix(template),
        replicated=all(each["kind"] == "ReplicaSet" for each in owners),
        phases_s=_phases_s(pod),
        restarted=any(each.get("restartCount") for each in pod["status"].get("containerStatuses") or ()),
    )


def _phases_s(pod: Object) -> tuple[float, ...] | None:
    status = pod["status"]
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
    return tuple(max(0.0, end - begin) for begin, end in pairwise(seconds(str(moment)) for moment in moments))


class Starts:
    """The starts of all Deployments of a namespace. Safe between threads.

    Args:
        node_type: the type of a node by its name; empty where it is not known.
    """

    def __init__(self, node_type: Callable[[str], str] = lambda _: "") -> None:
        self._node_type = node_type
        self._changing = threading.Lock()
        self._of: dict[str, OrderedDict[Kind, _Seen]] = {}
        self._heard: dict[str, set[str]] = {}
        self._typical: dict[str, tuple[Typical, ...]] = {}

    def followed(self, before: StartingPod | None, now: StartingPod) -> StartingPod:
        """Take what is known of a pod after a change, by the one thread that hears of pods.

        A start counts that was seen before it was over: one that was over before may have been so for long.
        """
        first_s = before.first_ready_s if before is not None else None
        if before is not None and first_s is None and now.phases_s is not None:
            with self._changing:
                self._seen(now.deployment, now).phases_s.append(now.phases_s)
                self._settle(now.deployment)
        kind = before.kind if before is not None and before.kind == now.kind else now.kind
        seen, halt = now.pod, now.halt
        if first_s is None:
            first_s = seen.loaded_at_s
        elif seen.loaded_at_s is not None:
            seen = replace(seen, loaded_at_s=first_s)  # a probe that failed for once made no pod of hours' start
        if before is not None and before.pod.stuck and now.restarted and seen.loaded_at_s is None:
            # one that crashes again and again runs in between
            seen, halt = replace(seen, stuck=True), halt or before.halt
        return replace(now, pod=seen, halt=halt, kind=kind, deployment="", phases_s=None, first_ready_s=first_s)

    def unheard(self, deployment: str, pods: Iterable[StartingPod]) -> dict[str, StartingPod]:
        """Of a Deployment's pods by name those that are Ready and whose server has not told yet how it loaded."""
        there = {pod.name: pod for pod in pods}
        with self._changing:
            heard = self._heard[deployment] = self._heard.get(deployment, set()) & set(there)
        return {name: pod for name, pod in there.items() if name not in heard and pod.pod.loaded_at_s is not None}

    def loaded(self, deployment: str, told: Iterable[tuple[StartingPod, Mapping[str, float]]]) -> None:
        """Take what servers told: seconds by phase, of each pod once."""
        with self._changing:
            heard = self._heard.setdefault(deployment, set())
            new = [(pod, load_s) for pod, load_s in told if pod.name not in heard]
            for pod, load_s in new:
                heard.add(pod.name)
                self._seen(deployment, pod).loads_s.append(load_s)
            if new:
                self._settle(deployment)

    def typical(self, deployment: str) -> tuple[Typical, ...]:
        """What is known of a Deployment's starts, the kind that was seen last for each type of node, the last first.

        The same object until there is something new; empty before the first.
        """
        return self._typical.get(deployment, ())

    def _seen(self, deployment: str, pod: StartingPod) -> _Seen:
        """What is known of pods of the same kind; it counts as seen last."""
        kind = replace(pod.kind, node_type=self._node_type(pod.node))
        kinds = self._of.setdefault(deployment, OrderedDict())
        seen = kinds.setdefault(kind, _Seen())
        kinds.move_to_end(kind)
        if len(kinds) > KINDS:
            kinds.popitem(last=False)
        return seen

    def _settle(self, deployment: str) -> None:
        last: dict[str, Typical] = {}
        for kind, seen in reversed(self._of[deployment].items()):
            if kind.node_type not in last:
                last[kind.node_type] = seen.typical(kind)
        self._typical[deployment] = tuple(last.values())


def _median_and_slow(took_s: Sequence[float]) -> tuple[float, float]:
    if len(took_s) == 1:
        return took_s[0], took_s[0]
    cuts = quantiles(took_s, n=20, method="inclusive")
    return cuts[9], cuts[18]
