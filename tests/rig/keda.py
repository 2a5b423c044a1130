"""The real KEDA: its operator, and its adapter behind `external.metrics.k8s.io`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig import programs
from rig.cluster import Cluster, established
from rig.external_metrics import registered
from rig.processes import free_ports, start, wait_for

_CRDS = (
    "keda.sh_scaledobjects",
    "keda.sh_scaledjobs",
    "keda.sh_triggerauthentications",
    "keda.sh_clustertriggerauthentications",
    "eventing.keda.sh_cloudeventsources",
    "eventing.keda.sh_clustercloudeventsources",
)
_KINDS = tuple("{1}.{0}".format(*name.rsplit("_", 1)) for name in _CRDS)
_NAMESPACE = "keda"


@contextmanager
def keda(cluster: Cluster, folder: Path) -> Iterator[None]:
    """Run it until the block ends.

    Raises:
        programs.Absent: this machine does not have it.
    """
    crds = programs.kubernetes("kubectl").parents[1] / "crds"
    cluster.core.create_namespace({"metadata": {"name": _NAMESPACE}})
    for name in _CRDS:
        cluster.kubectl("apply", "--server-side", "-f", crds / f"{name}.yaml")
    wait_for("its kinds", lambda: all(established(cluster, kind) for kind in _KINDS))

    certificates = _certificates(cluster, folder)
    metrics, health, grpc, port = free_ports(4)
    kubeconfig, keys = cluster.plane.kubeconfig, cluster.plane.keys.server
    environment = dict(os.environ) | {
        "KUBECONFIG": str(kubeconfig),
        "KEDA_CLUSTER_OBJECT_NAMESPACE": _NAMESPACE,
        "POD_NAMESPACE": _NAMESPACE,
        "WATCH_NAMESPACE": "",
    }
    operator = start(
        programs.unpacked("keda") / "bin" / "keda-operator",
        [
            *(f"--kubeconfig={kubeconfig}", f"--cert-dir={certificates}", "--zap-encoder=console"),
            *(f"--metrics-bind-address=127.0.0.1:{metrics}", f"--health-probe-bind-address=127.0.0.1:{health}"),
            f"--metrics-service-bind-address=127.0.0.1:{grpc}",
        ],
        folder / "keda-operator.log",
        environment,
    )
    adapter = start(
        programs.unpacked("keda") / "bin" / "keda-adapter",
        [
            *(f"--lister-kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}"),
            *(f"--authorization-kubeconfig={kubeconfig}", "--bind-address=127.0.0.1", f"--secure-port={port}"),
            *(f"--tls-cert-file={keys.certificate}", f"--tls-private-key-file={keys.key}"),
            *(f"--cert-dir={certificates}", f"--metrics-service-address=localhost:{grpc}"),
            f"--client-ca-file={cluster.plane.keys.authority}",
            f"--requestheader-client-ca-file={cluster.plane.keys.authority}",
        ],
        folder / "keda-adapter.log",
        environment,
    )
    try:
        with registered(cluster, _NAMESPACE, "keda-metrics-apiserver", port):
            yield
    finally:
        adapter.stop()
        operator.stop()


def ready(cluster: Cluster, namespace: str, name: str) -> bool:
    """Whether KEDA has taken a ScaledObject up."""
    found = json.loads(cluster.kubectl("get", "scaledobject", name, "-n", namespace, "-o", "json"))
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _certificates(cluster: Cluster, folder: Path) -> Path:
    """By the names that KEDA looks for."""
    made, keys = folder / "keda-certificates", cluster.plane.keys
    made.mkdir()
    shutil.copy(keys.authority, made / "ca.crt")
    shutil.copy(keys.server.certificate, made / "tls.crt")
    shutil.copy(keys.server.key, made / "tls.key")
    return made
