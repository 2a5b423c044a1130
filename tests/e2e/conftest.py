"""Real servers for the whole program."""

from rig.fixtures import cluster, installed, kubeconfig, namespace, pods, prometheus

__all__ = ["cluster", "installed", "kubeconfig", "namespace", "pods", "prometheus"]
