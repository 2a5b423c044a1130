"""A real Kubernetes control plane on loopback: etcd, API server, controller manager, on wish the scheduler.

There is no kubelet: whoever plays a node patches the status of its pods. The controllers that judge nodes by
their heartbeat stay off for that reason.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rig import programs
from rig.certificates import Authority, Pair, signing_key
from rig.processes import Late, Process, free_ports, start, wait_for

_ATTEMPTS = 3
_AUDIT = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: RequestResponse
    verbs: [create, update, patch]
    resources: [{group: coordination.k8s.io, resources: [leases]}]
  - level: RequestResponse
    verbs: [patch]
    resources: [{group: apps, resources: [deployments/scale]}, {group: "", resources: [pods]}]
  - level: Request
"""
"""What was written is answered with its version: of all writes to etcd, whatever they are to, one is the later."""
_PLAYED = "*,-node-lifecycle-controller,-taint-eviction-controller,-device-taint-eviction-controller"
_FAST = ("--kube-api-qps=500", "--kube-api-burst=1000", "--leader-elect=false", "--secure-port=0")


@dataclass(frozen=True)
class Keys:
    """Everything that is signed for one control plane."""

    authority: Path
    server: Pair
    admin: Pair
    aggregator: Pair
    accounts: Path


@dataclass
class ControlPlane:
    """A running control plane."""

    folder: Path
    url: str
    etcd_url: str
    kubeconfig: Path
    keys: Keys
    processes: dict[str, Process]

    @property
    def audit_log(self) -> Path:
        """One JSON event a line, for every request."""
        return self.folder / "audit.log"

    def restart_and_forget(self) -> None:
        """Compact etcd and restart the API server: where older watches stood nobody knows any more (410)."""
        revision = _ask(f"{self.etcd_url}/v3/kv/range", key="AA==")["header"]["revision"]
        _ask(f"{self.etcd_url}/v3/kv/compaction", revision=revision)
        server = self.processes["kube-apiserver"]
        server.restart()
        assert _ready(f"{self.url}/readyz", self.keys, server), server.tail()


@contextmanager
def control_plane(folder: Path, *, scheduler: bool = False, flags: Sequence[str] = ()) -> Iterator[ControlPlane]:
    """Start one that answers, with an audit log; ended with the block.

    Raises:
        programs.Absent: this machine does not have the programs.
        Late: it did not come up; the end of its log is in the message.
    """
    keys = _keys(folder)
    with ExitStack() as stack:
        plane = _answering(folder, keys, flags, stack)
        manager = start(
            programs.kubernetes("kube-controller-manager"),
            [
                f"--kubeconfig={plane.kubeconfig}",
                f"--service-account-private-key-file={keys.accounts}",
                f"--root-ca-file={keys.authority}",
                "--use-service-account-credentials",
                "--concurrent-deployment-syncs=20",
                "--concurrent-replicaset-syncs=20",
                f"--controllers={_PLAYED}",
                *_FAST,
            ],
            folder / "kube-controller-manager.log",
        )
        stack.callback(manager.stop)
        plane.processes["kube-controller-manager"] = manager
        if scheduler:
            arguments = [f"--kubeconfig={plane.kubeconfig}", *_FAST]
            scheduling = start(programs.kubernetes("kube-scheduler"), arguments, folder / "kube-scheduler.log")
            stack.callback(scheduling.stop)
            plane.processes["kube-scheduler"] = scheduling
        yield plane


def _keys(folder: Path) -> Keys:
    authority = Authority(folder)
    return Keys(
        authority.certificate,
        authority.sign("kube-apiserver", hosts=("localhost", "kubernetes.default.svc", "127.0.0.1", "10.96.0.1")),
        authority.sign("admin", groups=("system:masters",)),
        authority.sign("aggregator"),
        signing_key(folder / "accounts.key"),
    )


def _answering(folder: Path, keys: Keys, flags: Sequence[str], stack: ExitStack) -> ControlPlane:
    """etcd and an API server that answers; ports that were taken meanwhile are tried anew."""
    for attempt in range(_ATTEMPTS):
        client, peer, api = free_ports(3)
        etcd = start(programs.kubernetes("etcd"), _etcd(folder / f"etcd-{attempt}", client, peer), folder / "etcd.log")
        server = start(
            programs.kubernetes("kube-apiserver"), _api_server(folder, keys, client, api, flags), folder / "api.log"
        )
        url = f"https://127.0.0.1:{api}"
        if _ready(f"{url}/readyz", keys, server):
            stack.callback(etcd.kill)
            stack.callback(server.kill)  # its polite end waits for watches, ten seconds
            kubeconfig, processes = _kubeconfig(folder, url, keys), {"etcd": etcd, "kube-apiserver": server}
            return ControlPlane(folder, url, f"http://127.0.0.1:{client}", kubeconfig, keys, processes)
        server.kill()
        etcd.kill()
    raise Late(f"the API server did not become ready:\n{server.tail()}")


def _ask(url: str, **body: str) -> dict[str, Any]:
    """etcd, through its gateway for JSON."""
    with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=10) as response:
        found: dict[str, Any] = json.load(response)
        return found


def _ready(url: str, keys: Keys, server: Process) -> bool:
    context = ssl.create_default_context(cafile=keys.authority)
    context.load_cert_chain(keys.admin.certificate, keys.admin.key)

    def settled() -> bool:
        return answers() or not server.alive

    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5, context=context) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    wait_for("the API server is ready", settled, 60)
    return server.alive


def _etcd(folder: Path, client: int, peer: int) -> list[str]:
    here, there = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        f"--data-dir={folder}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={here}",
        f"--advertise-client-urls={here}",
        f"--listen-peer-urls={there}",
        f"--initial-advertise-peer-urls={there}",
        f"--initial-cluster=default={there}",
    ]


def _api_server(folder: Path, keys: Keys, etcd: int, port: int, flags: Sequence[str]) -> list[str]:
    (folder / "audit.yaml").write_text(_AUDIT)
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={keys.server.certificate}",
        f"--tls-private-key-file={keys.server.key}",
        f"--client-ca-file={keys.authority}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys.accounts}",
        f"--service-account-signing-key-file={keys.accounts}",
        f"--requestheader-client-ca-file={keys.authority}",
        "--requestheader-allowed-names=aggregator",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={keys.aggregator.certificate}",
        f"--proxy-client-key-file={keys.aggregator.key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged",
        "--endpoint-reconciler-type=none",
        f"--audit-policy-file={folder / 'audit.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-mode=blocking",
        *flags,
    ]


def _kubeconfig(folder: Path, url: str, keys: Keys) -> Path:
    path = folder / "kubeconfig"
    user = {"client-certificate": str(keys.admin.certificate), "client-key": str(keys.admin.key)}
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {"name": "test", "cluster": {"server": url, "certificate-authority": str(keys.authority)}}
                ],
                "users": [{"name": "admin", "user": user}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "current-context": "test",
            }
        )
    )
    return path
