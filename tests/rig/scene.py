"""Targets under an HPA's rule that a test can foretell: each tick wants ceil(pods x busy / 0.7)."""

from __future__ import annotations

import json
from typing import Any

from rig.cluster import Cluster, Deployment
from rig.exporter import Exporter, steady

BUSY = 0.95
"""Two pods that are so busy want a third."""
IDLE = 0.5
_POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s}
spec:
  target: {kind: Deployment, name: %(name)s}
  mode: %(mode)s
  workload: {ref: tts}
  replicas: {min: 1, max: %(most)d}
  policy:
    type: hpa
    metrics:
      - type: Pods
        pods: {metric: {name: busy}, target: {type: AverageValue, averageValue: 700m}}
    behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
    controller: {horizontal-pod-autoscaler-sync-period: 1s}
  signals:
    prometheus: {url: "%(url)s"}
    metrics: {busy: {signal: busy, window: 3s}}
"""


def policy(name: str, url: str, mode: str = "full", most: int = 10) -> str:
    """A policy file; its target is in the controller's own namespace."""
    return _POLICY % {"name": name, "url": url, "mode": mode, "most": most}


def carry(exporter: Exporter, deployment: Deployment, busy: float) -> None:
    """From now on each pod of a Deployment is busy for this share of the time."""
    for pod in deployment.pods():
        exporter.pods[deployment.namespace, pod.metadata.name] = steady(4.0, busy)


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
