"""A cluster as a test sees it: Deployments on a real control plane, with pods that the test plays by hand."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from kubernetes import client, config
from rig import programs
from rig.control_plane import ControlPlane
from rig.processes import wait_for

ROLE = "autoscaling.speech/role"
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass
class Cluster:
    """Admin access to a control plane."""

    plane: ControlPlane

    def __post_init__(self) -> None:
        settings = client.Configuration()
        config.load_kube_config(str(self.plane.kubeconfig), client_configuration=settings)
        self.api = client.ApiClient(settings)
        self.apps = client.AppsV1Api(self.api)
        self.core = client.CoreV1Api(self.api)

    def kubectl(self, *arguments: object) -> str:
        """What a person would type; gives what it prints.

        Raises:
            AssertionError: it failed; what it said is in the message.
        """
        command = [programs.kubernetes("kubectl"), "--kubeconfig", self.plane.kubeconfig, *map(str, arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def namespace(self) -> str:
        """A new namespace, of a test alone."""
        name = f"t-{uuid.uuid4().hex[:8]}"
        self.core.create_namespace({"metadata": {"name": name}})
        wait_for("the namespace's default account", lambda: self._accounts(name))
        return name

    def _accounts(self, namespace: str) -> bool:
        return bool(self.core.list_namespaced_service_account(namespace).items)

    def deploy(self, namespace: str, name: str = "tts", replicas: int = 1) -> Deployment:
        """A Deployment whose pods are all Ready, made so by hand."""
        made = self.order(namespace, name, replicas)
        made.settle(replicas)
        return made

    def order(self, namespace: str, name: str = "tts", replicas: int = 1) -> Deployment:
        """A Deployment, whose pods somebody has yet to play."""
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": template(name),
            },
        }
        self.apps.create_namespaced_deployment(namespace, body)
        return Deployment(self, namespace, name, f"app={name}")

    def requests(self, user: str, verb: str = "") -> Iterator[Mapping[str, Any]]:
        """What the audit log says that a user asked for, oldest first."""
        # The API server goes on writing: what follows the last newline is half a line.
        *whole, _ = self.plane.audit_log.read_bytes().split(b"\n")
        for event in map(json.loads, whole):
            if event["user"]["username"] == user and verb in event["verb"]:
                yield event


def established(cluster: Cluster, kind: str) -> bool:
    """Whether the API server serves a kind that was defined; kubectl's own ways fail while it has no conditions."""
    defined = json.loads(cluster.kubectl("get", "crd", kind, "-o", "json"))
    conditions = defined.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


@contextmanager
def keda_kinds(cluster: Cluster) -> Iterator[None]:
    """The cluster knows ScaledObjects until the block ends; nobody acts on them."""
    path = programs.kubernetes("kubectl").parents[1] / "crds" / "keda.sh_scaledobjects.yaml"
    cluster.kubectl("apply", "--server-side", "-f", path)
    try:
        wait_for("the kind", lambda: established(cluster, "scaledobjects.keda.sh"))
        yield
    finally:
        cluster.kubectl("delete", "-f", path)


def template(name: str, image: str = "sleeper:1") -> dict[str, Any]:
    """The pod template of a service that serves unless a controller says otherwise."""
    return {
        "metadata": {
            "labels": {"app": name, ROLE: "serving"},
            "annotations": {"controller.kubernetes.io/pod-deletion-cost": "100"},
        },
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "server", "image": image, "securityContext": _RESTRICTED}],
        },
    }


@dataclass
class Deployment:
    """One Deployment and its pods."""

    cluster: Cluster
    namespace: str
    name: str
    selector: str

    def read(self) -> Any:
        """The object as it is now."""
        return self.cluster.apps.read_namespaced_deployment(self.name, self.namespace)

    def scale(self, replicas: int) -> None:
        """What `kubectl scale` does."""
        body = {"spec": {"replicas": replicas}}
        self.cluster.apps.patch_namespaced_deployment_scale(self.name, self.namespace, body)

    def expose(self) -> None:
        """A Service in front of the pods whose role is to serve."""
        selector = {"app": self.name, ROLE: "serving"}
        body = {"metadata": {"name": self.name}, "spec": {"selector": selector, "ports": [{"port": 80}]}}
        self.cluster.core.create_namespaced_service(self.namespace, body)

    def endpoints(self) -> set[str]:
        """Names of the pods that the Service sends to."""
        slices = client.DiscoveryV1Api(self.cluster.api).list_namespaced_endpoint_slice(
            self.namespace, label_selector=f"kubernetes.io/service-name={self.name}"
        )
        return {
            str(endpoint.target_ref.name)
            for each in slices.items
            for endpoint in each.endpoints or ()
            if endpoint.conditions.ready
        }

    def relabel(self, pod: str, role: str) -> None:
        """Give a pod a role, as the controller does."""
        self.cluster.core.patch_namespaced_pod(pod, self.namespace, {"metadata": {"labels": {ROLE: role}}})

    def change_image(self, image: str) -> None:
        """Begin a rollout."""
        body = {"spec": {"template": template(self.name, image)}}
        self.cluster.apps.patch_namespaced_deployment(self.name, self.namespace, body)

    def delete(self) -> None:
        """Delete it and wait until its pods are gone too: the garbage collector takes them a moment later."""
        self.cluster.apps.delete_namespaced_deployment(self.name, self.namespace)
        self.wait_for_pods(0)

    def pods(self) -> list[Any]:
        """Its pods, those that are ending too."""
        found = self.cluster.core.list_namespaced_pod(self.namespace, label_selector=self.selector).items
        return sorted(found, key=lambda pod: str(pod.metadata.name))

    def wait_for_pods(self, count: int) -> list[Any]:
        """Its pods, once there are as many."""
        wait_for(f"{count} pods of {self.name}", lambda: len(self.pods()) == count)
        return self.pods()

    def ready(self) -> int:
        """Pods that the Deployment knows to be Ready."""
        return self.read().status.ready_replicas or 0

    def settle(self, count: int) -> None:
        """Wait for as many pods, make all Ready and wait until the Deployment has seen it."""
        for pod in self.wait_for_pods(count):
            self.make_ready(pod.metadata.name)
        wait_for(f"{count} ready in the status", lambda: self.ready() == count)

    def make_ready(self, pod: str, *, ready: bool = True) -> None:
        """Play the kubelet: the pod runs, and is Ready or not."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        state = {"status": str(ready), "lastTransitionTime": now}
        conditions = [{"type": kind} | state for kind in ("Ready", "ContainersReady")]
        self.patch_status(pod, {"phase": "Running", "conditions": conditions})

    def patch_status(self, pod: str, status: Mapping[str, Any]) -> None:
        """Play the kubelet."""
        self.cluster.core.patch_namespaced_pod_status(pod, self.namespace, {"status": status})

    def remove(self, pod: str) -> None:
        """Play the kubelet whose pod has ended; one that ended meanwhile is gone as well."""
        try:
            self.cluster.core.delete_namespaced_pod(pod, self.namespace, grace_period_seconds=0)
        except client.ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
