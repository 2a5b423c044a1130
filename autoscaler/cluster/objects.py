"""From the objects of the API to the words of the core. Pure.

Objects are plain JSON, as the server sends them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from autoscaler.cluster.api import is_controller
from autoscaler.cluster.hindrances import Halt, Unready, halt_of, hindered_of, refusal_of, unready_of
from autoscaler.model import Fleet, Hindrance, Phase, Pod, Rewrite

Object = Mapping[str, Any]

ROLE_LABEL = "autoscaling.speech/role"
COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
HASH_LABEL = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"
_LONGEST_REVISION = 20
"""Digits: it is an int64."""
_PROGRESS_DEADLINE_S = 600
"""Of a Deployment that does not say (pkg/apis/apps/v1/defaults.go)."""
_REMEMBERED = 16
"""Changes of the size by others."""


def selector_of(deployment: Object) -> str:
    """The Deployment's own selector in the form of a query."""
    selector = deployment["spec"]["selector"]
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or ():
        key, values = term["key"], ",".join(term.get("values") or ())
        operators = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        terms.append(operators[term["operator"]])
    return ",".join(terms)


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """What is kept of a Deployment."""

    uid: str
    name: str
    version: str
    replicas: int
    reported: int
    selector: str
    may_roll: bool
    """A rollout would be in progress: neither paused half-way nor past its progress deadline."""
    deadline_s: float = _PROGRESS_DEADLINE_S
    """How long a pod may take until it is Ready."""
    generation: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the pods that it makes."""
    sized: tuple[str, str] = ("", "")
    """When the size was last written, and by which field manager."""
    rewrites: tuple[tuple[float, Rewrite], ...] = ()
    """What others did to the size, each with when it was heard of, by a clock that never jumps."""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaSetView:
    """What is kept of a ReplicaSet."""

    uid: str
    name: str
    owner: str
    template: str
    """Hash of the pod template."""
    starts_as: str
    """Digest of its images and its node selector."""
    age: tuple[int, str]
    """Larger for a newer revision."""
    replicas: int
    lacking: int
    """Pods that are still to be made."""
    refusal: str
    """Why the API server takes none; empty where it does."""


@dataclass(frozen=True, slots=True)
class PodView:
    """What is kept of a pod."""

    uid: str
    name: str
    owner: str
    ended: bool
    """It has failed or succeeded and holds no GPU."""
    pod: Pod
    halt: Halt | None = None
    """Why it will not become Ready by itself."""
    unready: Unready | None = None
    """Since when it is not Ready."""

    def halted(self, now_s: float, deadline_s: float) -> Halt | None:
        """Why it will not become Ready by itself, or has not for longer than a pod may take."""
        if self.halt is None and self.unready is not None and now_s - self.unready.since_s > deadline_s:
            return Halt(Hindrance.LATE, self.unready.message)
        return self.halt


@dataclass(frozen=True, slots=True)
class RivalView:
    """What is kept of an object that may size a Deployment too."""

    uid: str
    name: str
    owner: str
    """Name of the Deployment that it sizes; empty for another kind."""


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What is kept of a Service."""

    uid: str
    name: str
    selector: Mapping[str, str]
    """Labels of the pods that get its traffic; empty where somebody else says which."""
    owner: str = ""


def service_view(service: Object) -> ServiceView:
    """Read a Service."""
    metadata = service["metadata"]
    return ServiceView(metadata["uid"], metadata["name"], service["spec"].get("selector") or {})


def hpa_view(hpa: Object) -> RivalView:
    """Read a HorizontalPodAutoscaler."""
    return _rival(hpa, hpa["spec"]["scaleTargetRef"])


def scaled_object_view(scaled: Object) -> RivalView:
    """Read a ScaledObject of KEDA, whose target is a Deployment unless it says otherwise."""
    return _rival(scaled, {"kind": "Deployment", **scaled["spec"]["scaleTargetRef"]})


def _rival(rival: Object, sized: Object) -> RivalView:
    metadata = rival["metadata"]
    return RivalView(metadata["uid"], metadata["name"], sized["name"] if sized["kind"] == "Deployment" else "")


def followed(
    before: DeploymentView | None, now: DeploymentView, manager: str, heard_s: float, clock_s: float
) -> DeploymentView:
    """What is known of a Deployment after a change: whoever else changed its size is kept in mind.

    Args:
        before: what was known, None for a Deployment that is new.
        now: what was heard.
        manager: the field manager whose writes are ours.
        heard_s: when it was heard, by a clock that never jumps.
        clock_s: the same as people read it; the API notes no time of a write to the scale.
    """
    if before is None or before.uid != now.uid:
        return now
    at, by = now.sized
    if now.replicas == before.replicas or by == manager:
        return replace(now, rewrites=before.rewrites)
    rewrite = Rewrite(seconds(at) if at else clock_s, by or "somebody", before.replicas, now.replicas)
    return replace(now, rewrites=(*before.rewrites, (heard_s, rewrite))[-_REMEMBERED:])


def deployment_view(deployment: Object) -> DeploymentView:
    """Read a Deployment."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment["status"]
    late = any(each.get("reason") == "ProgressDeadlineExceeded" for each in status.get("conditions") or ())
    return DeploymentView(
        uid=metadata["uid"],
        name=metadata["name"],
        version=metadata["resourceVersion"],
        generation=metadata.get("generation", 0),
        replicas=spec.get("replicas", 1),
        reported=status.get("replicas", 0),
        selector=selector_of(deployment),
        may_roll=not late and not spec.get("paused"),
        deadline_s=spec.get("progressDeadlineSeconds", _PROGRESS_DEADLINE_S),
        labels=(spec["template"].get("metadata") or {}).get("labels") or {},
        sized=_sized(metadata.get("managedFields") or ()),
    )


def replica_set_view(replica_set: Object) -> ReplicaSetView:
    """Read a ReplicaSet."""
    metadata, spec, status = replica_set["metadata"], replica_set.get("spec") or {}, replica_set["status"]
    there = status.get("replicas", 0)
    return ReplicaSetView(
        uid=metadata["uid"],
        name=metadata["name"],
        owner=_owner(replica_set),
        template=_hash(replica_set),
        starts_as=_starts_as(spec.get("template") or {}),
        age=(_revision(metadata.get("annotations") or {}), metadata["creationTimestamp"]),
        replicas=there,
        lacking=max(0, spec.get("replicas", 1) - there),
        refusal=refusal_of(status),
    )


def pod_view(pod: Object) -> PodView:
    """Read a pod; times have the API's resolution of a second."""
    metadata, status = pod["metadata"], pod["status"]
    role = (metadata.get("labels") or {}).get(ROLE_LABEL, "serving")
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    loaded = ready.get("status") == "True"
    halt = None if loaded else halt_of(status, conditions)
    turned_s = seconds(ready.get("lastTransitionTime") or metadata["creationTimestamp"])
    seen = Pod(
        name=metadata["name"],
        phase=_phase(metadata, role, loaded=loaded),
        ordered_at_s=seconds(metadata["creationTimestamp"]),
        loaded_at_s=turned_s if loaded else None,
        gated=role not in ("serving", "draining"),
        stuck=halt is not None,
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        revision=_hash(pod),
        ending="deletionTimestamp" in metadata,
        role_since_s=_written_s(metadata),
    )
    ended = status.get("phase") in ("Failed", "Succeeded")
    unready = None if loaded else unready_of(status, ready, turned_s)
    return PodView(metadata["uid"], metadata["name"], _owner(pod), ended, seen, halt, unready)


def misdirected(deployment: DeploymentView, service: ServiceView, *, by_role: bool) -> str | None:
    """How a Service does not select the pods of a Deployment as it should; None where it does.

    Args:
        deployment: what is sized.
        service: what is said to bring its traffic.
        by_role: whether pods are taken out of service by their role.
    """
    selector = service.selector
    if strange := {key: value for key, value in selector.items() if deployment.labels.get(key) != value}:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(strange.items()))
        return f"Service {service.name} selects {labels}, which no pod of {deployment.name} has: none gets its traffic"
    if by_role and selector and ROLE_LABEL not in selector:
        return f"Service {service.name} does not select {ROLE_LABEL}: pods that stand by or drain get traffic too"
    return None


def fleet_of(
    deployment: DeploymentView, sets: Iterable[ReplicaSetView], pods: Iterable[PodView], now_s: float
) -> Fleet:
    """The fleet that a Deployment, its ReplicaSets and their pods make up.

    What belongs to it is told by owner UIDs alone: labels can be shared. Of the ReplicaSets the newest revision
    counts; an undone rollout makes an old one the newest.

    Args:
        deployment: what is sized.
        sets: ReplicaSets, also others'.
        pods: also others'.
        now_s: the time, by the API's clock: pods that take too long are told.
    """
    owned = [each for each in sets if each.owner == deployment.uid]
    newest = max(owned, key=lambda each: each.age, default=None)
    uids = {each.uid for each in owned}
    ours = [each for each in pods if each.owner in uids and not each.ended]
    refusals = [(each.lacking, each.refusal) for each in owned]
    starting = (each for each in ours if each.pod.phase is Phase.STARTING)
    halts = ((each.name, each.halted(now_s, deployment.deadline_s)) for each in starting)
    return Fleet(
        replicas=deployment.replicas,
        pods=tuple(sorted((each.pod for each in ours), key=lambda pod: (pod.ordered_at_s, pod.name))),
        reported=deployment.reported,
        uid=deployment.uid,
        version=deployment.version,
        generation=deployment.generation,
        revision=newest.template if newest else "",
        starts_as=newest.starts_as if newest else "",
        rolling_out=deployment.may_roll and any(each.replicas > 0 for each in owned if each is not newest),
        hindered=hindered_of(refusals, [(name, halt) for name, halt in halts if halt is not None]),
    )


def seconds(timestamp: str) -> float:
    """Seconds since the epoch of one of the API's timestamps."""
    return datetime.fromisoformat(timestamp).timestamp()


def _sized(managed: Iterable[Object]) -> tuple[str, str]:
    """When and by whom `spec.replicas` was last written."""
    owners = [each for each in managed if "f:replicas" in (each.get("fieldsV1") or {}).get("f:spec", {})]
    return max(((each.get("time", ""), each.get("manager", "")) for each in owners), default=("", ""))


def _written_s(metadata: Object) -> float | None:
    """When a controller last wrote to an object: of pods it writes the role and its deletion cost, nothing else."""
    written = (each for each in metadata.get("managedFields") or () if is_controller(each.get("manager", "")))
    return max((seconds(each["time"]) for each in written if each.get("time")), default=None)


def _phase(metadata: Object, role: str, *, loaded: bool) -> Phase:
    if metadata.get("deletionTimestamp") or role == "draining":
        return Phase.DRAINING
    if not loaded:
        return Phase.STARTING
    return Phase.SERVING if role == "serving" else Phase.STANDBY


def _starts_as(template: Object) -> str:
    spec = template.get("spec") or {}
    images = sorted(str(each.get("image")) for each in spec.get("containers") or ())
    nodes = sorted((spec.get("nodeSelector") or {}).items())
    return hashlib.sha256(json.dumps([images, nodes]).encode()).hexdigest()[:12]


def _revision(annotations: Mapping[str, str]) -> int:
    """What the Deployment's controller counts; anybody may write something else there, which then counts as none."""
    written = annotations.get(_REVISION, "")
    return int(written) if written.isdecimal() and len(written) < _LONGEST_REVISION else 0


def _hash(labelled: Object) -> str:
    return str((labelled["metadata"].get("labels") or {}).get(HASH_LABEL, ""))


def _owner(owned: Object) -> str:
    """UID of the controller; empty for an orphan."""
    references = owned["metadata"].get("ownerReferences") or ()
    return next((str(each["uid"]) for each in references if each.get("controller")), "")
