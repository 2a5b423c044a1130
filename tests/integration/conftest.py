"""Real servers for the adapters."""

from rig.fixtures import cluster, namespace, pods, prometheus

__all__ = ["cluster", "namespace", "pods", "prometheus"]
