"""Targets under an HPA's rule that a test can foretell: each tick wants ceil(pods x busy / 0.7)."""

from __future__ import annotations

import json
from typing import Any

from rig.cluster import Cluster, Deployment
from rig.exporter import Exporter, steady

BUSY = 0.95
"""Two pods that are so busy want a third."""
IDLE = 0.5
STEPWISE = "{type: Pods, value: 3, periodSeconds: 1}"
"""At most three pods more each second."""
_ANY_GROWTH = "{type: Percent, value: 10000, periodSeconds: 1}"
_POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s}
spec:
  target: {kind: Deployment, name: %(name)s}
  mode: %(mode)s
  workload: {ref: tts}
  replicas: {min: %(least)d, max: %(most)d}
  policy:
    type: hpa
    metrics:
      - type: Pods
        pods: {metric: {name: busy}, target: {type: AverageValue, averageValue: 700m}}
    behavior: {scaleDown: {stabilizationWindowSeconds: 0}, scaleUp: {policies: [%(growth)s]}}
    controller: {horizontal-pod-autoscaler-sync-period: 1s}
  signals:
    prometheus: {url: "%(url)s"}
    metrics: {busy: {signal: busy, window: 3s}}
"""


def policy(name: str, url: str, mode: str = "full", least: int = 1, most: int = 10, growth: str = _ANY_GROWTH) -> str:
    """A policy file; its target is in the controller's own namespace."""
    return _POLICY % {"name": name, "url": url, "mode": mode, "least": least, "most": most, "growth": growth}


def carry(exporter: Exporter, deployment: Deployment, busy: float) -> None:
    """From now on each pod of a Deployment is busy for this share of the time."""
    for key in _exported(exporter, deployment):
        del exporter.pods[key]
    join(exporter, deployment, busy)


def join(exporter: Exporter, deployment: Deployment, busy: float) -> None:
    """New pods are busy for this share of the time; the others go on as they are, those that are gone are silent."""
    there = {(deployment.namespace, pod.metadata.name) for pod in deployment.pods()}
    known = set(_exported(exporter, deployment))
    for key in known - there:
        del exporter.pods[key]
    for key in there - known:
        exporter.pods[key] = steady(4.0, busy)


def _exported(exporter: Exporter, deployment: Deployment) -> list[tuple[str, str]]:
    return [
        (space, pod)
        for space, pod in exporter.pods
        if space == deployment.namespace and pod.startswith(f"{deployment.name}-")
    ]


def events(cluster: Cluster, namespace: str, reason: str, about: str | None = None) -> list[str]:
    """Messages of the controller's Events, as `kubectl describe` shows them."""
    return [
        event.message
        for event in cluster.core.list_namespaced_event(namespace).items
        if event.reporting_component == "speech-autoscaler"
        and event.reason == reason
        and about in (None, event.involved_object.name)
    ]


def status_of(cluster: Cluster, namespace: str, name: str) -> Any:
    """The last decision as it stands in the target's ConfigMap; None before the first."""
    for found in cluster.core.list_namespaced_config_map(namespace).items:
        if found.metadata.name == f"autoscaler.{namespace}.{name}":
            return json.loads((found.data or {}).get("status.json", "null"))
    return None
