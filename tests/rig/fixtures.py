"""Fixtures of the rig. A conftest takes those that it needs with one import.

Servers are started once for each pytest process, so that workers of xdist do not share any.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import programs
from rig.account import ASKED_FOR, Account, grant, operator, used
from rig.cluster import Cluster
from rig.control_plane import control_plane
from rig.exporter import Exporter, exporter
from rig.installed import Installed, install
from rig.prometheus import PrometheusServer, prometheus_server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real control plane; every test takes a namespace of its own."""
    try:
        with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
            yield Cluster(plane)
    except programs.Absent as missing:
        pytest.skip(f"needs a Kubernetes control plane: {missing}")


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A namespace of this test alone."""
    return cluster.namespace()


@pytest.fixture
def installed(cluster: Cluster, tmp_path: Path) -> Installed:
    """The controller as the manifests install it, fenced, in a namespace of this test alone."""
    return install(cluster, tmp_path)


@pytest.fixture
def account(cluster: Cluster, namespace: str) -> Iterator[Account]:
    """The controller's account in the namespace of this test; the rights that the manifests give it have to suffice."""
    made = grant(cluster, namespace)
    yield made
    refused = used(event for event in cluster.requests(made.user) if event["responseStatus"]["code"] == 403)
    assert refused <= ASKED_FOR, f"not granted: {refused - ASKED_FOR}"


@pytest.fixture
def kubeconfig(account: Account, tmp_path: Path) -> Path:
    """How the controller reaches the API server: under its account."""
    return account.kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def operators_kubeconfig(cluster: Cluster, namespace: str, tmp_path: Path) -> Path:
    """How a person reaches it, for the commands that people type: see `operator`."""
    return operator(cluster, namespace).kubeconfig(tmp_path / "operators-kubeconfig")


@pytest.fixture(scope="session")
def pods() -> Iterator[Exporter]:
    """Pods that only export metrics; every test uses its own namespace."""
    with exporter() as serving:
        yield serving


@pytest.fixture(scope="session", params=["2", "3"], ids=["prometheus-2", "prometheus-3"])
def prometheus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pods: Exporter
) -> Iterator[PrometheusServer]:
    """A real Prometheus of each major version that is supported, scraping each half second."""
    folder = tmp_path_factory.mktemp(f"prometheus-{request.param}")
    try:
        with prometheus_server(request.param, folder, scrape_s=0.5, together=pods.address) as server:
            yield server
    except programs.Absent as missing:
        pytest.skip(f"needs Prometheus {request.param}: {missing}")
