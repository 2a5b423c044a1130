"""Who asks the API server: the controller with the rights that the manifests give it, and a person who operates it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from kubernetes import client
from rig.cluster import Cluster
from rig.processes import wait_for
from rig.programs import REPOSITORY

NAME = "speech-autoscaler"
ASKED_FOR = {("", "nodes", "list")}
"""What the controller asks for without the right, to see once in ten minutes whether it has come."""
_OF_AN_ACCOUNT = ("ServiceAccount", "Role", "RoleBinding")

TOKEN_S = 86400
"""A kubeconfig is not renewed, as a pod's token is: it has to outlast the longest run of the rig."""


@dataclass(frozen=True)
class Account:
    """A service account."""

    cluster: Cluster
    namespace: str
    name: str = NAME

    @property
    def user(self) -> str:
        """Who it is to the API server."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def kubeconfig(self, path: Path, pod: str | None = None, url: str | None = None) -> Path:
        """How to reach the API server under it; with a token bound to a pod, and over another URL, on wish."""
        asked: dict[str, Any] = {"expirationSeconds": TOKEN_S, "audiences": None}
        if pod:
            asked["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod}
        token = self.cluster.core.create_namespaced_service_account_token(self.name, self.namespace, {"spec": asked})
        settings = yaml.safe_load(self.cluster.plane.kubeconfig.read_text())
        settings["users"] = [{"name": self.name, "user": {"token": token.status.token}}]
        settings["contexts"][0]["context"] |= {"user": self.name, "namespace": self.namespace}
        if url:
            settings["clusters"][0]["cluster"]["server"] = url
        path.write_text(yaml.safe_dump(settings))
        return path

    def may(self, verb: str, group: str, resource: str) -> bool:
        """Whether it has a right in its namespace; the API server takes a moment to learn of a new one."""
        where = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
        review = {"spec": {"user": self.user, "resourceAttributes": where}}
        answered = client.AuthorizationV1Api(self.cluster.api).create_subject_access_review(review)
        return bool(answered.status.allowed)

    def bind(self, role: str, namespace: str) -> None:
        """Give it a role in a namespace: `role=NAME`, or `clusterrole=NAME`."""
        name, whom = f"{self.namespace}.{self.name}", f"{self.namespace}:{self.name}"
        asked = ("rolebinding", name, f"--{role}", f"--serviceaccount={whom}", f"--namespace={namespace}")
        self.cluster.kubectl("create", *asked)


def overlay(folder: Path, namespace: str, *components: str, fenced: bool = True) -> Path:
    """An overlay of the manifests for a namespace, with some of their components; in a copy of them."""
    copy = folder / "manifests"
    shutil.copytree(REPOSITORY / "manifests", copy)
    base = copy / "base" / "kustomization.yaml"
    base.write_text(re.sub(r"(?m)^namespace: \S+", f"namespace: {namespace}", base.read_text()))
    made = copy / "overlays" / "mine"
    made.mkdir()
    added = [f"../../components/{name}" for name in components]
    resources = ["../fenced" if fenced else "../../base"]
    kustomization = {"kind": "Kustomization", "resources": resources, "components": added}
    (made / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return made


def grant(cluster: Cluster, namespace: str, *components: str) -> Account:
    """The controller's account in a namespace: of the manifests, with some of their components, nothing else."""
    with TemporaryDirectory() as folder:
        rendered = cluster.kubectl("kustomize", overlay(Path(folder), namespace, *components))
        documents = [each for each in yaml.safe_load_all(rendered) if each["kind"] in _OF_AN_ACCOUNT]
        wanted = Path(folder) / "account.yaml"
        wanted.write_text(yaml.safe_dump_all(documents))
        cluster.kubectl("create", "-f", wanted)
    account = Account(cluster, namespace)
    for role in (each for each in documents if each["kind"] == "Role"):
        rule = role["rules"][0]
        first = rule["verbs"][0], rule["apiGroups"][0], rule["resources"][0]
        wait_for(f"{role['metadata']['name']} to be in force", partial(account.may, *first))
    return account


def operator(cluster: Cluster, namespace: str) -> Account:
    """A person who operates the controller of a namespace, with the rights of Kubernetes' own role `edit` there."""
    account = Account(cluster, namespace, "operator")
    cluster.kubectl("create", "serviceaccount", account.name, f"--namespace={namespace}")
    account.bind("clusterrole=edit", namespace)
    wait_for("the operator's rights", lambda: account.may("patch", "", "configmaps"))
    return account


def used(events: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """Group, resource and verb of every request."""
    return {
        (
            event["objectRef"].get("apiGroup", ""),
            "/".join(filter(None, (event["objectRef"]["resource"], event["objectRef"].get("subresource")))),
            event["verb"],
        )
        for event in events
    }
