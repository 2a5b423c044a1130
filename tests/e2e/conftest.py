"""Real servers for the whole program."""

from rig.fixtures import account, cluster, installed, kubeconfig, namespace, operators_kubeconfig, pods, prometheus

__all__ = ["account", "cluster", "installed", "kubeconfig", "namespace", "operators_kubeconfig", "pods", "prometheus"]
