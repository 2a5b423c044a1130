"""The story on a real control plane: 2 requests/s become 35, and loaded pods stand by.

Pods are processes, Prometheus scrapes them, a balancer sends to those that the EndpointSlices list, and whoever
is to be shown sizes the Deployment. `python -m rig.story` plays it once and says what happened.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from rig.balancer import Answer, Endpoints, rule, send
from rig.cluster import ROLE, Cluster, Deployment
from rig.contenders import Contender, Ours, Site
from rig.control_plane import control_plane
from rig.node import Node, node
from rig.processes import free_ports, wait_for
from rig.prometheus import PrometheusServer, prometheus_server
from rig.servers import Servers, scraped

from autoscaler.model import ColdStart, Routing, Workload
from simulations.draw import place, service_times
from simulations.story import SETTLED_S

Floats = npt.NDArray[np.float64]
Sizes = list[tuple[float, int]]

NAME = "emotivoice"
CALM_RPS, PUSH_RPS = 2.0, 35.0
ENOUGH = 8
SCRAPE_S = 5.0
OBJECTIVE_S = 0.8
TTS = Workload("tts", OBJECTIVE_S, 0.99, 0.18, 0.6, ColdStart(15.0, 21.0))
WELL_S = 10
"""Well again: so many seconds of arrival in a row within the objective."""


@dataclass(frozen=True)
class Play:
    """What is played."""

    load_s: float = 15.0
    calm_s: float = 30.0
    push_s: float = 300.0
    seed: int = 1
    routing: Routing = Routing.LEAST_OUTSTANDING
    """Of the balancer: by least outstanding requests, or at random."""
    scrape_s: float = SCRAPE_S
    """Between two of Prometheus' looks at a pod."""


@dataclass(frozen=True)
class Told:
    """What became of the jump; times are seconds since it, inf where it did not come."""

    requests: int
    """During the push."""
    lost: int
    late_ratio: float
    """Of the requests of the push: answered after more than the objective, or lost."""
    first_serves_s: float
    enough_serve_s: float
    well_again_s: float
    """Second of arrival from which on ten in a row have their 99 % quantile within the objective."""
    settled_late_ratio: float
    """Of the requests of the push that came later than `SETTLED_S`: answered late, or lost."""
    pod_s: float
    """Pods that hold a GPU, loading and ending ones too, over the push."""
    phase_s: float
    """How long before the jump the newest scrape of a serving pod was."""
    serving: Sizes
    """Pods in the EndpointSlices, from each moment on."""

    def __str__(self) -> str:
        return (
            f"{self.requests} requests in the push, {self.lost} lost, {self.late_ratio:.1%} late; the first more pod "
            f"serves after {self.first_serves_s:.1f} s, {ENOUGH} serve after {self.enough_serve_s:.1f} s, within the "
            f"objective again from {self.well_again_s:.0f} s on, {self.settled_late_ratio:.1%} late after "
            f"{SETTLED_S:.0f} s; {self.pod_s:.0f} pod-seconds"
        )


@dataclass
class Stage:
    """Everything that runs before the jump."""

    site: Site
    deployment: Deployment
    endpoints: Endpoints
    node: Node
    port: int

    def tell(self, play: Play) -> Told:
        """Send the requests and see what becomes of them."""
        at_s, service_s = requests(play)
        jump_s, jumped_at_s = time.monotonic() + play.calm_s, time.time() + play.calm_s
        pick = rule(Routing(play.routing), play.seed)
        answers = send(self.endpoints, self.port, at_s.tolist(), service_s.tolist(), pick)
        serving, held = ([(at - jump_s, size) for at, size in each.sizes] for each in (self.endpoints, self.node))
        phase_s = self._phase_s(jumped_at_s)
        return told(play, answers, serving, held, phase_s)

    def _phase_s(self, jumped_at_s: float) -> float:
        """Age of the newest sample that a rule could see at the jump."""
        newest = f'max(timestamp(speech_requests_received_total{{namespace="{self.site.namespace}"}}))'
        [series] = self.site.prometheus.query(newest, jumped_at_s)
        return jumped_at_s - float(series["value"][1])


def requests(play: Play) -> tuple[Floats, Floats]:
    """When each request is sent, and how long it takes to serve."""
    random = np.random.default_rng(play.seed)
    calm_s = math.ceil(play.calm_s)
    counts = random.poisson(np.where(np.arange(calm_s + play.push_s) < calm_s, CALM_RPS, PUSH_RPS))
    at_s = place(counts, 1.0, random) - (calm_s - play.calm_s)
    service_s = service_times(len(at_s), TTS, random)
    return at_s[at_s >= 0.0], service_s[at_s >= 0.0]


def told(play: Play, answers: Sequence[Answer], serving: Sizes, held: Sizes, phase_s: float) -> Told:
    """Sum up. `serving`, `held`: seconds since the jump, and how many pods from then on."""
    pushed = [answer for answer in answers if answer.at_s >= play.calm_s]
    bad = [answer.status != 200 or answer.latency_s > OBJECTIVE_S for answer in pushed]
    settled = [late for answer, late in zip(pushed, bad, strict=True) if answer.at_s >= play.calm_s + SETTLED_S]
    before = size_at(serving, 0.0)
    return Told(
        requests=len(pushed),
        lost=sum(answer.status != 200 for answer in answers),
        late_ratio=sum(bad) / max(len(pushed), 1),
        first_serves_s=_reached_s(serving, before + 1),
        enough_serve_s=0.0 if before >= ENOUGH else _reached_s(serving, ENOUGH),
        well_again_s=_well_again_s(play, pushed),
        settled_late_ratio=sum(settled) / max(len(settled), 1),
        pod_s=_integral(held, play.push_s),
        phase_s=phase_s,
        serving=[(0.0, before), *((at_s, size) for at_s, size in serving if 0 < at_s <= play.push_s)],
    )


def size_at(sizes: Sizes, at_s: float) -> int:
    """How many there are at a time."""
    return next((size for since_s, size in reversed(sizes) if since_s <= at_s), 0)


def _reached_s(sizes: Sizes, pods: int) -> float:
    return next((at_s for at_s, size in sizes if at_s > 0 and size >= pods), float("inf"))


def _integral(sizes: Sizes, until_s: float) -> float:
    """Pod-seconds from 0 on."""
    moments = [0.0, *(at_s for at_s, _ in sizes if 0 < at_s < until_s), until_s]
    return sum((end - begin) * size_at(sizes, begin) for begin, end in pairwise(moments))


def _well_again_s(play: Play, pushed: Sequence[Answer]) -> float:
    seconds: list[list[float]] = [[] for _ in range(int(play.push_s))]
    for answer in pushed:
        latency_s = answer.latency_s if answer.status == 200 else float("inf")
        seconds[min(int(answer.at_s - play.calm_s), len(seconds) - 1)].append(latency_s)
    well = [not each or np.quantile(each, 0.99, method="lower") <= OBJECTIVE_S for each in seconds]
    runs = (at for at in range(len(well) - WELL_S + 1) if all(well[at : at + WELL_S]))
    return float(next(runs, float("inf")))


@contextmanager
def stage(site: Site, contender: Contender, play: Play) -> Iterator[Stage]:
    """The pods are loaded and scraped, and somebody sizes them; ended with the block."""
    [port] = free_ports(1)
    servers = Servers(site.folder, port, play.load_s, OBJECTIVE_S)
    pods = contender.serving + contender.standby
    with node(site.cluster, site.namespace, servers) as playing, scraped(playing, site.prometheus, port):
        deployment = site.cluster.order(site.namespace, NAME, pods)
        deployment.expose()
        wait_for(f"{pods} pods to load", lambda: deployment.ready() == pods, 60.0 + play.load_s)
        for pod in deployment.pods()[contender.serving :]:
            deployment.relabel(pod.metadata.name, "standby")
        endpoints = Endpoints(site.cluster, site.namespace, NAME)
        endpoints.start()
        wait_for("those that serve in the EndpointSlices", lambda: len(endpoints.addresses) == contender.serving)
        wait_for("Prometheus to scrape all", lambda: _scraped(site.prometheus, site.namespace) == pods, 60.0)
        with contender.scales(site, deployment):
            yield Stage(site, deployment, endpoints, playing, port)
        endpoints.stop()


def _scraped(prometheus: PrometheusServer, namespace: str) -> int:
    return len(prometheus.query(f'speech_requests_received_total{{namespace="{namespace}"}}'))


@contextmanager
def site(scrape_s: float = SCRAPE_S) -> Iterator[Site]:
    """A control plane and a Prometheus of its own."""
    with TemporaryDirectory() as name, control_plane(Path(name)) as plane:
        folder, cluster = Path(name), Cluster(plane)
        (folder / "prometheus").mkdir()
        with prometheus_server("3", folder / "prometheus", scrape_s) as prometheus:
            yield Site(folder, cluster, cluster.namespace(), prometheus)


def perform(contender: Contender, play: Play, log: Path | None = None) -> Told:
    """Play it once, on a site of its own; our decision log goes where it is said to."""
    with site(play.scrape_s) as here, stage(here, contender, play) as ready:
        look = f"kubectl --kubeconfig {here.cluster.plane.kubeconfig} -n {here.namespace} get pods -L {ROLE}"
        print(f"{contender.name}: {look}", file=sys.stderr, flush=True)
        found = ready.tell(play)
        if log and here.journal.exists():
            shutil.copy(here.journal, log)
        return found


def main(arguments: Sequence[str]) -> int:
    """Play it once and print what became of it."""
    parser = argparse.ArgumentParser(prog="python -m rig.story", description=__doc__)
    parser.add_argument("--standby", type=int, default=6, help="gated pods in reserve")
    parser.add_argument("--push", type=float, default=300.0, help="seconds of 35 requests/s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="the balancer picks pods at random, as a Service does")
    asked = parser.parse_args(arguments)
    routing = Routing.RANDOM if asked.random else Routing.LEAST_OUTSTANDING
    print(perform(Ours(asked.standby), Play(push_s=asked.push, seed=asked.seed, routing=routing)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
