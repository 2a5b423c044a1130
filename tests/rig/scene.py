"""Targets under an HPA's rule that a test can foretell: each tick wants ceil(pods x busy / 0.7)."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from typing import Any

from rig.cluster import ROLE, Cluster, Deployment
from rig.exporter import Exporter, steady

BUSY = 0.875
"""Two pods that are so busy want a third; also where a busy machine has them measured a fifth off."""
IDLE = 0.5
LOAD_S = {"import": 3.0, "weights": 8.0, "warmup": 1.5}
"""What each pod that shares a load tells of its own start."""
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
        for space, pod in list(exporter.pods)
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


def status_of(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """The last decision as it stands in the target's ConfigMap; empty before the first."""
    for found in cluster.core.list_namespaced_config_map(namespace).items:
        if found.metadata.name == f"autoscaler.{namespace}.{name}":
            return dict(json.loads((found.data or {}).get("status.json", "{}")))
    return {}


def condition_of(cluster: Cluster, namespace: str, name: str, kind: str) -> dict[str, str]:
    """A condition of the last decision; of empty words while it is not said, as of a tick that knew no fleet."""
    said = status_of(cluster, namespace, name).get("conditions", ())
    return next((each for each in said if each["type"] == kind), {"status": "", "reason": "", "message": ""})


class Shared:
    """A load that the pods of a Deployment that serve share, in busy pods; `total` may be changed at any time.

    What is Ready and does not serve exports counters that stand; a pod that is gone is silent.
    """

    def __init__(self, exporter: Exporter, deployment: Deployment, total: float) -> None:
        self.total = total
        self._deployment = deployment
        self._exporter = exporter
        self._worked: dict[str, float] = {}
        self._lock = threading.Lock()
        self._at_s = time.monotonic()
        exporter.sources.append(self._advance)

    def _advance(self) -> None:
        """Bring the counters up to now, before they are served."""
        with self._lock:
            now_s = time.monotonic()
            passed_s, self._at_s = now_s - self._at_s, now_s
            ready = [pod.metadata for pod in self._deployment.pods() if _ready(pod)]
            serving = [pod.name for pod in ready if pod.labels[ROLE] == "serving"]
            for name in serving:
                self._worked[name] = self._worked.get(name, 0.0) + passed_s * self.total / len(serving)
            there = {(self._deployment.namespace, pod.name): partial(self._metrics, pod.name) for pod in ready}
            for key in set(_exported(self._exporter, self._deployment)) - set(there):
                del self._exporter.pods[key]
            self._exporter.pods.update(there)

    def _metrics(self, name: str) -> dict[str, float]:
        worked_s = self._worked.get(name, 0.0)
        return {
            "speech_requests_received_total": 5.0 * worked_s,
            "speech_requests_completed_total": 5.0 * worked_s,
            "speech_service_seconds_sum": worked_s,
            "speech_requests_in_flight": 0.0,
            "speech_queue_depth": 0.0,
        } | {f'speech_model_load_phase_seconds{{phase="{name}"}}': took_s for name, took_s in LOAD_S.items()}


def _ready(pod: Any) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
