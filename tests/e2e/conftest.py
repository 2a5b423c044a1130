"""Real servers for the whole program."""

from rig.fixtures import cluster, namespace, pods, prometheus

__all__ = ["cluster", "namespace", "pods", "prometheus"]
