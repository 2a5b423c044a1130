"""Which type each node is of, where nodes may be read: that is an optional right, and nothing is decided on it."""

from __future__ import annotations

from dataclasses import dataclass

from kubernetes import client

from autoscaler.cluster.kinds import CORE, Kind
from autoscaler.cluster.mirror import Mirror, Reflector
from autoscaler.cluster.objects import Object

TYPE_LABELS = (
    "node.kubernetes.io/instance-type",
    "nvidia.com/gpu.product",
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
)
"""Labels that tell it, the first that a node has counts: its instance type as every cloud's controller sets it, else
its accelerator (NVIDIA's GPU feature discovery, GKE, EKS)."""
AGAIN_S = 600.0
"""Who may not read nodes asks again so seldom whether that has changed."""
_FORBIDDEN = (403,)


@dataclass(frozen=True, slots=True)
class NodeView:
    """What is kept of a node."""

    uid: str
    name: str
    type: str
    """Empty where no label tells it."""
    owner: str = ""


def node_view(node: Object) -> NodeView:
    """Read a node."""
    metadata = node["metadata"]
    labels = metadata.get("labels") or {}
    found = next((labels[label] for label in TYPE_LABELS if labels.get(label)), "")
    return NodeView(metadata["uid"], metadata["name"], found)


class Nodes:
    """The nodes of the cluster, known by watch."""

    def __init__(self, api: client.ApiClient, *, again_s: float = AGAIN_S) -> None:
        self._known: Mirror[NodeView] = Mirror(node_view)
        listed = Kind(api, CORE, "nodes").list
        self._reflector = Reflector(listed, "", self._known, nothing=_FORBIDDEN, again_s=again_s)

    def start(self) -> None:
        """Begin to list and watch."""
        self._reflector.start()

    def stop(self) -> None:
        """End the watch."""
        self._reflector.stop()

    def type_of(self, name: str) -> str:
        """The type of a node; empty for one that is not known."""
        found = self._known.named(name)
        return found.type if found is not None else ""
