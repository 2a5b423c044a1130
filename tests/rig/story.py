"""The story on a real control plane: 2 requests/s become 35, and loaded pods stand by.

Pods are processes, Prometheus scrapes them, a balancer sends to those that the EndpointSlices list, and the
controller runs the shipped policy `holiday-push`. `python -m rig.story` plays it and says what happened.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from rig import programs
from rig.balancer import Answer, Endpoints, send
from rig.cluster import ROLE, Cluster, Deployment
from rig.control_plane import control_plane
from rig.controller import ControllerProcess, controller
from rig.node import node
from rig.processes import free_ports, wait_for
from rig.prometheus import PrometheusServer, prometheus_server
from rig.servers import Servers, scraped

from autoscaler.model import ColdStart, Workload
from simulations.draw import place, service_times

Floats = npt.NDArray[np.float64]

NAME = "emotivoice"
CALM_RPS, PUSH_RPS = 2.0, 35.0
SERVING = 2
ENOUGH = 8
SCRAPE_S = 5.0
OBJECTIVE_S = 0.8
TTS = Workload("tts", OBJECTIVE_S, 0.99, 0.18, 0.6, ColdStart(15.0, 21.0))


@dataclass(frozen=True)
class Play:
    """What is played."""

    standby: int = 6
    load_s: float = 15.0
    calm_s: float = 30.0
    push_s: float = 300.0
    seed: int = 1


@dataclass(frozen=True)
class Told:
    """What became of the jump; times are seconds since it, inf where it did not come."""

    requests: int
    """During the push."""
    lost: int
    late_ratio: float
    first_serves_s: float
    enough_serve_s: float
    well_again_s: float
    """Second of arrival from which on ten in a row have their 99 % quantile within the objective."""

    def __str__(self) -> str:
        return (
            f"{self.requests} requests in the push, {self.lost} lost, {self.late_ratio:.1%} late; the first more pod "
            f"serves after {self.first_serves_s:.1f} s, {ENOUGH} serve after {self.enough_serve_s:.1f} s, within the "
            f"objective again from {self.well_again_s:.0f} s on"
        )


@dataclass
class Stage:
    """Everything that runs before the jump."""

    deployment: Deployment
    endpoints: Endpoints
    ours: ControllerProcess
    port: int

    def tell(self, play: Play) -> Told:
        """Send the requests and see what becomes of them."""
        at_s, service_s = requests(play)
        jump_s = time.monotonic() + play.calm_s
        answers = send(self.endpoints, self.port, at_s.tolist(), service_s.tolist())
        return told(play, answers, [(at - jump_s, size) for at, size in self.endpoints.sizes])


def requests(play: Play) -> tuple[Floats, Floats]:
    """When each request is sent, and how long it takes to serve."""
    random = np.random.default_rng(play.seed)
    seconds = np.arange(play.calm_s + play.push_s)
    counts = random.poisson(np.where(seconds < play.calm_s, CALM_RPS, PUSH_RPS))
    at_s = place(counts, 1.0, random)
    return at_s, service_times(len(at_s), TTS, random)


def told(play: Play, answers: Sequence[Answer], sizes: Sequence[tuple[float, int]]) -> Told:
    """Sum up. `sizes`: seconds since the jump, and how many pods serve from then on."""
    pushed = [answer for answer in answers if answer.at_s >= play.calm_s]
    bad = [answer.status != 200 or answer.latency_s > OBJECTIVE_S for answer in pushed]
    before = next((size for at_s, size in reversed(sizes) if at_s <= 0), SERVING)
    return Told(
        requests=len(pushed),
        lost=sum(answer.status != 200 for answer in answers),
        late_ratio=sum(bad) / max(len(pushed), 1),
        first_serves_s=_reached_s(sizes, before + 1),
        enough_serve_s=_reached_s(sizes, ENOUGH),
        well_again_s=_well_again_s(play, pushed),
    )


def _reached_s(sizes: Sequence[tuple[float, int]], pods: int) -> float:
    return next((at_s for at_s, size in sizes if at_s > 0 and size >= pods), float("inf"))


def _well_again_s(play: Play, pushed: Sequence[Answer]) -> float:
    seconds: list[list[float]] = [[] for _ in range(int(play.push_s))]
    for answer in pushed:
        latency_s = answer.latency_s if answer.status == 200 else float("inf")
        seconds[min(int(answer.at_s - play.calm_s), len(seconds) - 1)].append(latency_s)
    well = [not each or np.quantile(each, 0.99, method="lower") <= OBJECTIVE_S for each in seconds]
    return float(next((at for at in range(len(well) - 9) if all(well[at : at + 10])), float("inf")))


def policy(namespace: str, url: str, standby: int) -> str:
    """The shipped policy for this namespace and this Prometheus, with so many pods in reserve."""
    shipped: dict[str, Any] = yaml.safe_load((programs.REPOSITORY / "policies" / "holiday-push.yaml").read_text())
    shipped["metadata"]["namespace"] = namespace
    spec = shipped["spec"]
    spec["replicas"]["min"] = SERVING + standby
    spec["standby"]["min"] = standby
    spec["signals"]["prometheus"]["url"] = url
    return yaml.safe_dump(shipped)


@contextmanager
def stage(
    folder: Path, cluster: Cluster, namespace: str, kubeconfig: Path, prometheus: PrometheusServer, play: Play
) -> Iterator[Stage]:
    """Two pods serve, the others stand by, the controller leads; ended with the block."""
    [port] = free_ports(1)
    servers = Servers(folder, port, play.load_s, OBJECTIVE_S)
    pods = SERVING + play.standby
    policies = folder / "policies"
    policies.mkdir()
    (policies / "push.yaml").write_text(policy(namespace, prometheus.url, play.standby))
    with node(cluster, namespace, servers) as playing, scraped(playing, prometheus, port):
        deployment = cluster.order(namespace, NAME, pods)
        deployment.expose()
        wait_for(f"{pods} pods to load", lambda: deployment.ready() == pods, 60.0 + play.load_s)
        for pod in deployment.pods()[SERVING:]:
            deployment.relabel(pod.metadata.name, "standby")
        endpoints = Endpoints(cluster, namespace, NAME)
        endpoints.start()
        wait_for("two in the EndpointSlices", lambda: len(endpoints.addresses) == SERVING)
        wait_for("Prometheus to scrape all", lambda: _scraped(prometheus, namespace) == pods, 60.0)
        with controller(folder, "pod-a", policies, kubeconfig) as ours:
            wait_for("the controller to lead", ours.leading)
            wait_for("its first decision", lambda: "desired_replicas{" in ours.get("/metrics")[1])
            yield Stage(deployment, endpoints, ours, port)
        endpoints.stop()


def _scraped(prometheus: PrometheusServer, namespace: str) -> int:
    return len(prometheus.query(f'speech_requests_received_total{{namespace="{namespace}"}}'))


def main(arguments: Sequence[str]) -> int:
    """Play it once and print what became of it."""
    parser = argparse.ArgumentParser(prog="python -m rig.story", description=__doc__)
    parser.add_argument("--standby", type=int, default=6, help="gated pods in reserve")
    parser.add_argument("--push", type=float, default=300.0, help="seconds of 35 requests/s")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    play = Play(standby=asked.standby, push_s=asked.push, seed=asked.seed)
    with TemporaryDirectory() as name, control_plane(Path(name)) as plane:
        folder = Path(name)
        cluster = Cluster(plane)
        namespace = cluster.namespace()
        (folder / "prometheus").mkdir()
        with (
            prometheus_server("3", folder / "prometheus", SCRAPE_S) as prometheus,
            stage(folder, cluster, namespace, plane.kubeconfig, prometheus, play) as ready,
        ):
            print(f"kubectl --kubeconfig {plane.kubeconfig} -n {namespace} get pods -L {ROLE}", flush=True)
            print(ready.tell(play))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
