"""From the objects of the API to the words of the core. Pure.

Objects are plain JSON, as the server sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from autoscaler.model import Fleet, Phase, Pod

Object = Mapping[str, Any]

ROLE_LABEL = "autoscaling.speech/role"
COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
HASH_LABEL = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"

_HOPELESS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons for which a container waits that time alone seldom mends (kubelet, pkg/kubelet/{container,images})."""


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


def fleet_of(deployment: Object, replica_sets: Iterable[Object], pods: Iterable[Object]) -> Fleet:
    """The fleet that a Deployment, its ReplicaSets and their pods make up.

    What belongs to it is told by owner UIDs alone: labels can be shared. Pods that have ended hold no GPU.
    """
    owned = owned_by(deployment, replica_sets)
    sets = {each["metadata"]["uid"] for each in owned}
    ours = [pod for pod in pods if _owner(pod) in sets and pod["status"].get("phase") not in ("Failed", "Succeeded")]
    return Fleet(
        replicas=deployment["spec"].get("replicas", 1),
        pods=tuple(sorted(map(pod_of, ours), key=lambda pod: (pod.ordered_at_s, pod.name))),
        reported=deployment["status"].get("replicas", 0),
        uid=deployment["metadata"]["uid"],
        version=deployment["metadata"]["resourceVersion"],
        revision=newest_revision(owned),
        rolling_out=_rolling_out(deployment, owned),
    )


def owned_by(owner: Object, objects: Iterable[Object]) -> list[Object]:
    """Those whose controller is this very object."""
    return [each for each in objects if _owner(each) == owner["metadata"]["uid"]]


def newest_revision(owned: Iterable[Object]) -> str:
    """The template hash of a Deployment's newest ReplicaSet; an undone rollout makes an old one the newest."""
    newest = max(owned, key=_age_key, default=None)
    return "" if newest is None else _hash(newest)


def pod_of(pod: Object) -> Pod:
    """One pod; times have the API's resolution of a second."""
    metadata, status = pod["metadata"], pod["status"]
    role = (metadata.get("labels") or {}).get(ROLE_LABEL, "serving")
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    loaded = ready.get("status") == "True"
    return Pod(
        name=metadata["name"],
        phase=_phase(metadata, role, loaded=loaded),
        ordered_at_s=seconds(metadata["creationTimestamp"]),
        loaded_at_s=seconds(ready["lastTransitionTime"]) if loaded else None,
        gated=role == "standby",
        stuck=not loaded and _hopeless(status, conditions),
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        revision=_hash(pod),
    )


def seconds(timestamp: str) -> float:
    """Seconds since the epoch of one of the API's timestamps."""
    return datetime.fromisoformat(timestamp).timestamp()


def _phase(metadata: Object, role: str, *, loaded: bool) -> Phase:
    if metadata.get("deletionTimestamp") or role == "draining":
        return Phase.DRAINING
    if not loaded:
        return Phase.STARTING
    return Phase.STANDBY if role == "standby" else Phase.SERVING


def _hopeless(status: Object, conditions: Mapping[str, Object]) -> bool:
    if conditions.get("PodScheduled", {}).get("reason") == "Unschedulable":
        return True
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return any(each.get("state", {}).get("waiting", {}).get("reason") in _HOPELESS for each in containers)


def _rolling_out(deployment: Object, owned: Iterable[Object]) -> bool:
    """Pods of an old template are being replaced: neither paused half-way nor past the progress deadline."""
    if deployment["spec"].get("paused"):
        return False
    conditions = deployment["status"].get("conditions") or ()
    if any(each.get("reason") == "ProgressDeadlineExceeded" for each in conditions):
        return False
    owned = list(owned)
    newest = newest_revision(owned)
    return any(each["status"].get("replicas", 0) > 0 for each in owned if _hash(each) != newest)


def _age_key(replica_set: Object) -> tuple[int, str]:
    metadata = replica_set["metadata"]
    return int((metadata.get("annotations") or {}).get(_REVISION, 0)), metadata["creationTimestamp"]


def _hash(labelled: Object) -> str:
    return str((labelled["metadata"].get("labels") or {}).get(HASH_LABEL, ""))


def _owner(owned: Object) -> str:
    """UID of the controller; empty for an orphan."""
    references = owned["metadata"].get("ownerReferences") or ()
    return next((str(each["uid"]) for each in references if each.get("controller")), "")
