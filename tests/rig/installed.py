"""The controller as the manifests install it: in a namespace of its own, under its own account, fenced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from rig.account import NAME, Account, overlay
from rig.cluster import Cluster
from rig.controller import ControllerProcess, controller
from rig.processes import wait_for
from rig.programs import REPOSITORY

_POD = "authentication.kubernetes.io/pod-name"


@dataclass
class Installed:
    """What `kubectl apply -k` made of the manifests."""

    cluster: Cluster
    namespace: str
    folder: Path

    @property
    def account(self) -> Account:
        """Whose rights the controller has."""
        return Account(self.cluster, self.namespace)

    def pods(self) -> list[str]:
        """Names of the controller's pods, which its Deployment has ordered."""
        label = f"app.kubernetes.io/name={NAME}"

        def names() -> list[str]:
            found = self.cluster.core.list_namespaced_pod(self.namespace, label_selector=label).items
            return sorted(pod.metadata.name for pod in found)

        return wait_for("both pods of the controller", lambda: made if len(made := names()) == 2 else [])

    def kubeconfig(self, pod: str, url: str | None = None) -> Path:
        """How a process of a pod reaches the API server: with a token bound to that pod, over another URL on wish."""
        return self.account.kubeconfig(self.folder / f"kubeconfig-{pod}", pod, url)

    def policies(self, **texts: str) -> Path:
        """A folder with policy files, by name; without any, those that were installed."""
        folder = self.folder / "policies"
        folder.mkdir(exist_ok=True)
        data = self.cluster.core.read_namespaced_config_map(f"{NAME}-policies", self.namespace).data
        for name, text in ({f"{name}.yaml": text for name, text in texts.items()} or data).items():
            (folder / name).write_text(text)
        return folder

    @contextmanager
    def controller(
        self,
        pod: str,
        policies: Path,
        *flags: object,
        url: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[ControllerProcess]:
        """The process of one pod."""
        kubeconfig = self.kubeconfig(pod, url)
        with controller(self.folder, pod, policies, kubeconfig, *flags, environment=environment) as process:
            yield process

    @contextmanager
    def leading(
        self,
        pod: str,
        policies: Path,
        *flags: object,
        url: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[ControllerProcess]:
        """The process of one pod, once it leads."""
        with self.controller(pod, policies, *flags, url=url, environment=environment) as process:
            wait_for(f"{pod} to lead", process.leading)
            yield process

    @contextmanager
    def pair(self, policies: Path, *flags: object) -> Iterator[tuple[ControllerProcess, ControllerProcess]]:
        """Both processes, the leader first."""
        first, second = self.pods()
        with self.controller(first, policies, *flags) as one, self.controller(second, policies, *flags) as other:
            wait_for("a leader", lambda: one.leading() or other.leading())
            yield (one, other) if one.leading() else (other, one)

    def lease(self) -> Any:
        """The Lease; None before somebody has taken it."""
        try:
            return client.CoordinationV1Api(self.cluster.api).read_namespaced_lease(NAME, self.namespace)
        except client.ApiException:
            return None

    def asked(self, **only: object) -> Iterator[Mapping[str, Any]]:
        """What the controllers asked the API server for, by its audit log, oldest first."""
        for event in self.cluster.requests(self.account.user):
            if all(event[key] == value for key, value in only.items()):
                yield event


def written_by(event: Mapping[str, Any]) -> str:
    """The pod whose token carried a request."""
    [pod] = event["user"]["extra"][_POD]
    return str(pod)


@dataclass(frozen=True)
class ScaleWrite:
    """One attempt to write a size, as the API server saw it."""

    pod: str
    target: str
    replicas: int | None
    """None where it was refused unread."""
    status: int


def scale_writes(installed: Installed, target: str | None = None) -> list[ScaleWrite]:
    """Every attempt to write a size, oldest first."""
    found = [
        ScaleWrite(
            written_by(event),
            event["objectRef"]["name"],
            event["requestObject"]["spec"]["replicas"] if "requestObject" in event else None,
            event["responseStatus"]["code"],
        )
        for event in installed.asked(verb="patch")
        if event["objectRef"].get("subresource") == "scale"
    ]
    return [each for each in found if target in (None, each.target)]


def scale_times(installed: Installed) -> list[str]:
    """When writes of a size took effect, oldest first; times can be compared as text."""
    return [
        event["stageTimestamp"]
        for event in installed.asked(verb="patch")
        if event["objectRef"].get("subresource") == "scale" and event["responseStatus"]["code"] == 200
    ]


def install(cluster: Cluster, folder: Path, *components: str, fenced: bool = True) -> Installed:
    """Apply the manifests to a namespace of their own: with the admission policies, and some of their components."""
    namespace = cluster.namespace()
    cluster.kubectl("apply", "-k", overlay(folder, namespace, *components, fenced=fenced))
    return Installed(cluster, namespace, folder)


def environment() -> dict[str, str]:
    """What the manifest gives the controller's process, but for what is its pod's own."""
    documents = yaml.safe_load_all((REPOSITORY / "manifests" / "base" / "controller.yaml").read_text())
    [deployment] = (each for each in documents if each["kind"] == "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def granted(cluster: Cluster, namespace: str, *cluster_roles: str) -> set[tuple[str, str, str]]:
    """Group, resource and verb of every right that the Roles of the manifests give, and some ClusterRoles of theirs."""
    roles = json.loads(cluster.kubectl("get", "roles", "-n", namespace, "-o", "json"))["items"]
    roles += [json.loads(cluster.kubectl("get", "clusterrole", name, "-o", "json")) for name in cluster_roles]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@dataclass(frozen=True, order=True)
class HandOver:
    """The Lease got another holder; an empty name: it was given back."""

    version: int
    """Of the Lease: whatever has a greater one was written later."""
    at: str
    """By the audit log; times can be compared as text."""
    holder: str


def hand_overs(installed: Installed) -> list[HandOver]:
    """Every change of the Lease's holder, oldest first."""
    named = sorted(
        HandOver(_version(event), event["stageTimestamp"], event["responseObject"]["spec"].get("holderIdentity") or "")
        for event in installed.asked()
        if event["objectRef"]["resource"] == "leases" and _written(event)
    )
    return [each for before, each in pairwise([None, *named]) if before is None or before.holder != each.holder]


def stale_writes(installed: Installed) -> list[str]:
    """Names of the objects that a pod wrote to after the Lease had another holder, once for each such write.

    Versions decide: the API server gives one to each write, of the Lease and of whatever else, in their order.
    """
    holders = hand_overs(installed)
    stale = []
    for event in installed.asked(verb="patch"):
        if event["objectRef"]["resource"] in ("deployments", "pods") and _written(event):
            holder = [each.holder for each in holders if each.version < _version(event)][-1:]
            if holder != [written_by(event)]:
                stale.append(event["objectRef"]["name"])
    return sorted(stale)


def _written(event: Mapping[str, Any]) -> bool:
    return event["verb"] in ("create", "update", "patch") and event["responseStatus"]["code"] in (200, 201)


def _version(event: Mapping[str, Any]) -> int:
    return int(event["responseObject"]["metadata"]["resourceVersion"])
