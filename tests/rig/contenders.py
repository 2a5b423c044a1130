"""Who sizes the Deployment of the story: this controller, the HPA controller of Kubernetes, or KEDA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml
from rig import programs
from rig.account import grant
from rig.cluster import Cluster, Deployment
from rig.controller import controller
from rig.external_metrics import external_metrics
from rig.keda import keda, ready
from rig.processes import wait_for
from rig.prometheus import PrometheusServer

from simulations.peers import Family, Hpa

SERVING = 2
"""Pods that serve before the jump."""
MOST = 12
MEAN_S = 0.18
"""Mean service time: a rate in busy pods."""
_COUNTERS = {
    "rate": f"{MEAN_S} * sum(rate(speech_requests_received_total%s))",
    "busy": "sum(rate(speech_service_seconds_sum%s))",
    "concurrency": "sum(rate(speech_queue_integral_seconds_total%s))",
}
_ALL_AT_ONCE = {"type": "Percent", "value": 1_000_000_000, "periodSeconds": 15}


@dataclass(frozen=True)
class Site:
    """Where the story is played."""

    folder: Path
    cluster: Cluster
    namespace: str
    prometheus: PrometheusServer

    @property
    def journal(self) -> Path:
        """Our decision log."""
        return self.folder / "decisions.jsonl"

    @property
    def policies(self) -> Path:
        """Our policy files."""
        return self.folder / "policies"


class Contender(Protocol):
    """Sizes a Deployment that is there."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def serving(self) -> int:
        """Pods that serve before the jump."""

    @property
    def standby(self) -> int:
        """Loaded pods beside them, out of the Service."""

    def scales(self, site: Site, deployment: Deployment) -> AbstractContextManager[None]:
        """Size it until the block ends."""


@dataclass(frozen=True)
class Ours:
    """The shipped policy `holiday-push`, with so many loaded pods in reserve."""

    reserve: int
    mode: Literal["gated", "serving"] = "gated"

    @property
    def name(self) -> str:
        """See `Contender`."""
        return f"{self.mode} {self.reserve}"

    @property
    def serving(self) -> int:
        """See `Contender`."""
        return SERVING + (0 if self.mode == "gated" else self.reserve)

    @property
    def standby(self) -> int:
        """See `Contender`."""
        return self.reserve if self.mode == "gated" else 0

    def policy(self, namespace: str, url: str) -> str:
        """The shipped file for this namespace and this Prometheus."""
        shipped: dict[str, Any] = yaml.safe_load((programs.REPOSITORY / "policies" / "holiday-push.yaml").read_text())
        shipped["metadata"]["namespace"] = namespace
        spec = shipped["spec"]
        spec["replicas"]["min"] = SERVING + self.reserve
        if self.mode == "gated":
            spec["standby"]["min"] = self.reserve
        else:  # a tick faster than the scrapes is for promotions
            spec["standby"] = {"mode": "serving"}
            spec["policy"]["tick"] = spec["signals"]["prometheus"]["scrapeInterval"]
        spec["signals"]["prometheus"]["url"] = url
        return yaml.safe_dump(shipped)

    @contextmanager
    def scales(self, site: Site, deployment: Deployment) -> Iterator[None]:
        """See `Contender`."""
        site.policies.mkdir()
        (site.policies / "push.yaml").write_text(self.policy(site.namespace, site.prometheus.url))
        components = ("gated",) if self.mode == "gated" else ()
        kubeconfig = grant(site.cluster, site.namespace, *components).kubeconfig(site.folder / "controllers-kubeconfig")
        with controller(site.folder, "pod-a", site.policies, kubeconfig, "--journal", site.journal) as ours:
            wait_for("the controller to lead", ours.leading)
            wait_for("its first decision", lambda: "desired_replicas{" in ours.get("/metrics")[1])
            yield


@dataclass(frozen=True)
class Peer:
    """The real HPA controller or the real KEDA, with a setting that a replay can follow too."""

    name: str
    setting: Hpa
    serving: int = SERVING
    standby: int = 0

    def query(self, namespace: str) -> str:
        """What it asks Prometheus, in busy pods."""
        selected = f'{{namespace="{namespace}"}}[{self.setting.window_s:.0f}s]'
        return _COUNTERS[self.setting.metric] % selected

    @property
    def behavior(self) -> dict[str, Any]:
        """`behavior`, as autoscaling/v2 has it; without more, its own defaults."""
        down = {"stabilizationWindowSeconds": self.setting.stabilization_s}
        up = {"scaleUp": {"stabilizationWindowSeconds": 0, "policies": [_ALL_AT_ONCE]}}
        return {"scaleDown": down, **(up if self.setting.growth == "unlimited" else {})}

    def manifest(self, namespace: str, deployment: str, url: str) -> dict[str, Any]:
        """The HorizontalPodAutoscaler or the ScaledObject."""
        metadata = {"name": deployment, "namespace": namespace}
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}
        if self.setting.family is Family.KEDA:
            metadata_of = {"serverAddress": url, "query": self.query(namespace), "threshold": f"{self.setting.target}"}
            spec: dict[str, Any] = {
                "scaleTargetRef": target,
                "minReplicaCount": SERVING,
                "maxReplicaCount": MOST,
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": self.behavior}},
                "triggers": [{"type": "prometheus", "metadata": metadata_of}],
            }
            return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}
        value = {"type": "AverageValue", "averageValue": f"{round(1000 * self.setting.target)}m"}
        spec = {
            "scaleTargetRef": target,
            "minReplicas": SERVING,
            "maxReplicas": MOST,
            "metrics": [{"type": "External", "external": {"metric": {"name": "load"}, "target": value}}],
            "behavior": self.behavior,
        }
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata,
            "spec": spec,
        }

    @contextmanager
    def scales(self, site: Site, deployment: Deployment) -> Iterator[None]:
        """See `Contender`."""
        path = site.folder / "peer.json"
        path.write_text(json.dumps(self.manifest(site.namespace, deployment.name, site.prometheus.url)))
        if self.setting.family is Family.KEDA:
            with keda(site.cluster, site.folder):
                site.cluster.kubectl("apply", "-f", path)
                wait_for("KEDA to take it up", lambda: ready(site.cluster, site.namespace, deployment.name))
                wait_for("its HPA to read the metric", lambda: _reads(site, f"keda-hpa-{deployment.name}"))
                yield
            return
        with external_metrics(site.cluster, site.prometheus, {"load": self.query(site.namespace)}):
            site.cluster.kubectl("apply", "-f", path)
            wait_for("the HPA to read the metric", lambda: _reads(site, deployment.name))
            yield


def _reads(site: Site, name: str) -> bool:
    """Whether an HPA can read its metric."""
    found = site.cluster.kubectl("get", "hpa", name, "-n", site.namespace, "--ignore-not-found", "-o", "json")
    conditions = json.loads(found or "{}").get("status", {}).get("conditions", [])
    return any(each["type"] == "ScalingActive" and each["status"] == "True" for each in conditions)
