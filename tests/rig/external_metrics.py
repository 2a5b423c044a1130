"""`external.metrics.k8s.io` for the HPA controller: what a metrics adapter does, one PromQL query for each metric."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from rig.cluster import Cluster
from rig.processes import wait_for
from rig.prometheus import PrometheusServer
from rig.web import Asked, Reply, reply, website

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
_ROOT = f"/apis/{GROUP}/{VERSION}"


@contextmanager
def external_metrics(cluster: Cluster, prometheus: PrometheusServer, queries: Mapping[str, str]) -> Iterator[None]:
    """Serve metrics, by name, until the block ends; an empty answer of Prometheus is an empty list.

    The API server reaches it over a Service of type ExternalName, and does not check its certificate.
    """

    def answer(asked: Asked) -> Reply:
        path = urlsplit(asked.path).path
        query = queries.get(path.rpartition("/")[2])
        if path == _ROOT:
            return reply({**_kind("APIResourceList", "v1"), "groupVersion": f"{GROUP}/{VERSION}", "resources": []})
        if not path.startswith(f"{_ROOT}/namespaces/") or query is None:
            return reply({**_kind("Status", "v1"), "status": "Failure", "code": 404}, 404)
        values = [float(series["value"][1]) for series in prometheus.query(query)]
        found = _kind("ExternalMetricValueList", f"{GROUP}/{VERSION}")
        return reply({**found, "metadata": {}, "items": [_item(path, value) for value in values]})

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cluster.plane.keys.server.certificate, cluster.plane.keys.server.key)
    with website(answer, tls) as site:
        port = urlsplit(site.url).port
        assert port is not None
        with registered(cluster, "kube-system", "metrics-adapter", port):
            yield


def _kind(kind: str, version: str) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": version}


def _item(path: str, value: float) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = path.rpartition("/")[2]
    return {"metricName": name, "metricLabels": {}, "timestamp": now, "value": f"{round(1000 * value)}m"}


@contextmanager
def registered(cluster: Cluster, namespace: str, name: str, port: int) -> Iterator[None]:
    """Let the API server hand the group on to a port of this machine, until the block ends."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    }
    api_service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{VERSION}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": name, "namespace": namespace, "port": port},
        },
    }
    path = cluster.plane.folder / f"{name}.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [service, api_service]}))
    cluster.kubectl("apply", "-f", path)
    try:
        wait_for(f"{GROUP} to be available", lambda: _available(cluster))
        yield
    finally:
        cluster.kubectl("delete", "-f", path)


def _available(cluster: Cluster) -> bool:
    found = json.loads(cluster.kubectl("get", "apiservice", f"{VERSION}.{GROUP}", "-o", "json"))
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Available" and each["status"] == "True" for each in conditions)
