"""Real servers for the adapters."""

from rig.fixtures import account, cluster, kubeconfig, namespace, pods, prometheus

__all__ = ["account", "cluster", "kubeconfig", "namespace", "pods", "prometheus"]
