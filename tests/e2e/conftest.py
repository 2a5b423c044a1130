"""Real servers for the whole program."""

from rig.fixtures import cluster, installed, namespace, pods, prometheus

__all__ = ["cluster", "installed", "namespace", "pods", "prometheus"]
