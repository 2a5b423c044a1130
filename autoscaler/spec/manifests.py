"""A user's own HorizontalPodAutoscaler or ScaledObject, seen as a ScalingPolicy.

The parts move to where a ScalingPolicy has them and are checked there; problems are told at their place in the
manifest. Nothing is dropped in silence: what has no place here is a problem or a gap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from autoscaler.spec.base import API_VERSION, keys_of
from autoscaler.spec.document import Document, Route, Value
from autoscaler.spec.keda import PrometheusMetadata
from autoscaler.spec.replayable import Gap
from autoscaler.spec.rules import Clash, Plain
from autoscaler.spec.validate import unknown_key

Mapped = dict[str, Value]

_HPA_RULE = ("metrics", "behavior")
_HPA_KEYS = ("scaleTargetRef", "minReplicas", "maxReplicas", *_HPA_RULE)
_KEDA_RULE = (
    "triggers",
    "pollingInterval",
    "cooldownPeriod",
    "initialCooldownPeriod",
    "idleReplicaCount",
    "fallback",
    "advanced",
)
_KEDA_KEYS = ("scaleTargetRef", "minReplicaCount", "maxReplicaCount", *_KEDA_RULE)
_CPU_80: Value = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
_OBJECT_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True, slots=True)
class Import:
    """A manifest as a ScalingPolicy."""

    document: Document
    clashes: tuple[Clash, ...]
    gaps: tuple[Gap, ...]


def from_hpa(document: Document) -> Import:
    """An autoscaling/v2 HorizontalPodAutoscaler.

    Defaults of the API are filled in: minReplicas 1, and CPU at 80 % where no metric is given.
    """
    manifest = Plain(_stated(document.data))
    spec = _mapping(manifest.at("spec"))
    replicas: Mapped = {"min": spec.get("minReplicas", 1)} | _renamed(spec, {"maxReplicas": "max"})
    rule: Mapped = {"type": "hpa", "metrics": [_CPU_80], **{key: spec[key] for key in _HPA_RULE if key in spec}}
    found = [_target_gap(manifest)]
    if replicas["min"] == 0:  # the API server takes 0 with the gate alone
        rule["controller"] = {"HPAScaleToZero": True}
        found.append(Gap(("spec", "replicas", "min"), "0 is taken to mean that the gate HPAScaleToZero is on", False))
    policy: Mapped = {"replicas": replicas, "policy": rule, **_target(manifest)}
    seen = document.rearranged(
        _policy_file(manifest, policy),
        {
            ("spec", "policy"): ("spec",),
            ("spec", "replicas"): ("spec",),
            ("spec", "replicas", "min"): ("spec", "minReplicas"),
            ("spec", "replicas", "max"): ("spec", "maxReplicas"),
            ("spec", "target"): ("spec", "scaleTargetRef"),
        },
    )
    return Import(seen, tuple(_strangers(manifest, _HPA_KEYS)), tuple(gap for gap in found if gap))


def from_scaled_object(document: Document) -> Import:
    """A keda.sh/v1alpha1 ScaledObject.

    Defaults of the API are filled in: minReplicaCount 0, maxReplicaCount 100. Settings of a trigger that are not
    known here are named and left out, as KEDA itself passes over what it does not know.
    """
    manifest = Plain(_stated(document.data))
    spec = _mapping(manifest.at("spec"))
    replicas: Mapped = {"min": spec.get("minReplicaCount", 0), "max": spec.get("maxReplicaCount", 100)}
    rule: Mapped = {"type": "keda", **{key: spec[key] for key in _KEDA_RULE if key in spec}}
    left_out = list(_foreign_settings(manifest))
    if "triggers" in rule:
        rule["triggers"] = _without(rule["triggers"], {gap.route for gap in left_out})
    policy: Mapped = {"replicas": replicas, "policy": rule, **_target(manifest), **_server(manifest)}
    origins: dict[Route, Route] = {
        ("spec", "policy"): ("spec",),
        ("spec", "replicas"): ("spec",),
        ("spec", "replicas", "min"): ("spec", "minReplicaCount"),
        ("spec", "replicas", "max"): ("spec", "maxReplicaCount"),
        ("spec", "target"): ("spec", "scaleTargetRef"),
        ("spec", "signals", "prometheus", "url"): ("spec", "triggers", 0, "metadata", "serverAddress"),
    }
    seen = document.rearranged(_policy_file(manifest, policy), origins)
    found = (_target_gap(manifest), *left_out)
    return Import(seen, tuple(_strangers(manifest, _KEDA_KEYS)), tuple(gap for gap in found if gap))


def _stated(value: Value) -> Value:
    """Without keys that are null: to Kubernetes they are not there."""
    if isinstance(value, dict):
        return {key: _stated(inner) for key, inner in value.items() if inner is not None}
    return [_stated(item) for item in value] if isinstance(value, list) else value


def _mapping(value: Value) -> Mapped:
    return value if isinstance(value, dict) else {}


def _renamed(values: Mapping[str, Value], names: Mapping[str, str]) -> Mapped:
    return {new: values[old] for old, new in names.items() if old in values}


def _policy_file(manifest: Plain, spec: Mapped) -> Mapped:
    """The object around it; of the metadata what people write, not what the API server adds."""
    metadata = _mapping(manifest.at("metadata"))
    kept = ("name", "namespace", "labels", "annotations")
    return {
        "apiVersion": API_VERSION,
        "kind": "ScalingPolicy",
        "metadata": {key: metadata[key] for key in kept if metadata.get(key) is not None},
        "spec": spec,
    }


def _target(manifest: Plain) -> Mapped:
    """What is scaled, where this controller can scale it."""
    kind = manifest.at("spec", "scaleTargetRef", "kind")
    if kind not in (None, "Deployment") or manifest.at("spec", "scaleTargetRef") is None:
        return {}
    named = _renamed(_mapping(manifest.at("spec", "scaleTargetRef")), {"name": "name"})
    return {"target": {"kind": "Deployment", **named}}


def _target_gap(manifest: Plain) -> Gap | None:
    kind = manifest.at("spec", "scaleTargetRef", "kind")
    if kind in (None, "Deployment"):
        return None
    text = f"{kind} can be replayed, but this controller scales Deployments only"
    return Gap(("spec", "scaleTargetRef", "kind"), text, changes_decisions=False)


def _strangers(manifest: Plain, known: Collection[str]) -> Iterator[Clash]:
    """Keys that the API does not have, and parts that it wants."""
    for at, keys in (((), _OBJECT_KEYS), (("spec",), known)):
        for key in manifest.keys(*at):
            if key not in keys:
                yield Clash((*at, key), f"unknown key — {unknown_key(key, keys)}", at_key=True)
    if manifest.at("spec", "scaleTargetRef") is None:
        yield Clash(("spec", "scaleTargetRef"), "missing — required: what is scaled", at_key=True)


def _server(manifest: Plain) -> Mapped:
    """The Prometheus of the first trigger that names one."""
    for index in range(manifest.length("spec", "triggers")):
        address = manifest.at("spec", "triggers", index, "metadata", "serverAddress")
        if address is not None:
            return {"signals": {"prometheus": {"url": address}}}
    return {}


def _foreign_settings(manifest: Plain) -> Iterator[Gap]:
    """Settings of prometheus triggers that are not known here."""
    known = keys_of(PrometheusMetadata)
    for index in range(manifest.length("spec", "triggers")):
        at: Route = ("spec", "triggers", index)
        if manifest.at(*at, "type") == "prometheus":
            for key in manifest.keys(*at, "metadata"):
                if key not in known:
                    yield Gap((*at, "metadata", key), f"left out, not known here — {unknown_key(key, known)}", False)


def _without(triggers: Value, routes: Collection[Route]) -> Value:
    if not isinstance(triggers, list):
        return triggers
    return [_known_settings(trigger, ("spec", "triggers", index), routes) for index, trigger in enumerate(triggers)]


def _known_settings(trigger: Value, at: Route, routes: Collection[Route]) -> Value:
    metadata = trigger.get("metadata") if isinstance(trigger, dict) else None
    if not isinstance(trigger, dict) or not isinstance(metadata, dict):
        return trigger
    return trigger | {"metadata": {k: v for k, v in metadata.items() if (*at, "metadata", k) not in routes}}
