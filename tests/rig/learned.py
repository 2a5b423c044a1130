"""Predictive targets with a past under one controller, all of it real: what they take while they learn and after.

Weeks of arrivals lie in a real Prometheus before the controller starts; it reads them back, learns from them one
target after the other, in processes of their own, and ticks meanwhile, on a real API server with pods that kwok
plays. Their load goes on where the past ended, and each exports what the inference server does.
`python -m rig.learned` prints what the controller and its learning process take as targets learn.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from rig.cluster import Cluster
from rig.control_plane import control_plane
from rig.controller import ControllerProcess
from rig.exporter import Exporter, exporter
from rig.installed import Installed, environment, install
from rig.processes import wait_for
from rig.prometheus import PrometheusServer, backfill, prometheus_server
from rig.scale import PODS, SCRAPE_S, deploy, names, played_nodes, policy_text, ready_pods

STEP_S = 60.0
DAY_S = 86400.0
SERVICE_S = 0.18
LOOK_S = 10.0
"""Which pods there are is looked at so often."""
SAMPLE_S = 0.5
"""Between two looks at what processes take."""
_EDGES_S = ("0.01", "0.025", "0.05", "0.1", "0.2", "0.3", "0.4", "0.5", "0.65", "0.8", "1", "1.25", "1.6", "2", "3")
_EDGES_S += ("5", "8", "15", "30", "60", "+Inf")
_REASONS = ("queue_full", "too_long", "bad_audio", "bad_request", "not_ready", "deadline", "abandoned", "not_taken")
_REASONS += ("unauthorized", "rate_limited", "retried")
_LOAD_PHASES_S = {"interpreter": 0.4, "import": 3.0, "weights": 6.0, "frontend": 0.6, "warmup": 2.0}


@dataclass(frozen=True)
class Shape:
    """How much comes to one service: a rhythm of days and of weeks, with a burst now and then."""

    seed: int

    def rates_rps(self, at_s: np.ndarray) -> np.ndarray:
        """The expected rate at some times."""
        drawn = np.random.default_rng(self.seed)
        level, phase, swing, quiet = drawn.uniform(3, 20), drawn.uniform(0, 1), drawn.uniform(0.3, 0.8), drawn.uniform()
        day = 1.0 + swing * np.sin(2 * np.pi * (at_s / DAY_S + phase))
        weekend = np.where((at_s / DAY_S) % 7 < 2, 1.0 - 0.6 * quiet, 1.0)
        bursts = np.random.default_rng([self.seed, 1]).random(4096)[(at_s // 900).astype(np.int64) % 4096] > 0.97
        return level * day * weekend * np.where(bursts, 2.0, 1.0)

    def past(self, until_s: float, days: float) -> Iterator[tuple[float, float]]:
        """A counter of arrivals, a sample each minute."""
        at_s = until_s // STEP_S * STEP_S - STEP_S * np.arange(round(days * DAY_S / STEP_S), -1, -1)
        came = np.random.default_rng([self.seed, 2]).poisson(STEP_S * self.rates_rps(at_s))
        return zip(at_s.tolist(), np.cumsum(came).tolist(), strict=True)


@dataclass
class Load:
    """The load of all services, shared among the pods that each of them has at the moment."""

    cluster: Cluster
    namespace: str
    exported: Exporter
    shapes: Mapping[str, Shape]
    _came: dict[str, float] = field(default_factory=dict)
    _pods: dict[str, list[str]] = field(default_factory=dict)
    _at_s: float = field(default_factory=time.time)
    _looked_s: float = 0.0

    def __call__(self) -> None:
        """Bring the counters of all pods up to now, before they are served."""
        now_s = time.time()
        if now_s - self._looked_s > LOOK_S:
            self._looked_s, self._pods = now_s, self._look()
        passed_s, self._at_s = now_s - self._at_s, now_s
        for name, pods in self._pods.items():
            came = passed_s * float(self.shapes[name].rates_rps(np.array([now_s]))[0])
            for pod in pods:
                self._came[pod] = self._came.get(pod, 0.0) + came / len(pods)
        there = {(self.namespace, pod) for pods in self._pods.values() for pod in pods}
        for gone in set(self.exported.pods) - there:
            del self.exported.pods[gone]
        for key in there - set(self.exported.pods):
            self.exported.pods[key] = partial(self._metrics, key[1])

    def _look(self) -> dict[str, list[str]]:
        """The pods that run, by service; what the API server holds in memory is new enough."""
        asked = {"field_selector": "status.phase=Running", "resource_version": "0", "_preload_content": False}
        found = json.loads(self.cluster.core.list_namespaced_pod(self.namespace, **asked).data)["items"]
        pods: dict[str, list[str]] = defaultdict(list)
        for pod in found:
            service = pod["metadata"]["labels"].get("app")
            if service in self.shapes:
                pods[service].append(pod["metadata"]["name"])
        return pods

    def _metrics(self, pod: str) -> Mapping[str, float]:
        """What the inference server exports and the controller reads."""
        came = self._came[pod]
        told = {
            'speech_requests_received_total{endpoint="/v1/audio/speech"}': came,
            'speech_requests_completed_total{code="200"}': came,
            "speech_service_seconds_sum": SERVICE_S * came,
            "speech_queue_integral_seconds_total": SERVICE_S * came,
            "speech_busy_seconds_total": SERVICE_S * came,
            "speech_queue_depth": 0.0,
            "speech_requests_in_flight": 0.0,
            "speech_slots_busy": 0.0,
            "speech_queue_seconds_waiting": 0.0,
        }
        told |= {f'speech_requests_rejected_total{{reason="{reason}"}}': 0.0 for reason in _REASONS}
        for name in ("speech_service_seconds_bucket", "speech_request_duration_seconds_bucket"):
            told |= {f'{name}{{le="{edge}"}}': came if float(edge) > SERVICE_S else 0.0 for edge in _EDGES_S}
        phases_s = _LOAD_PHASES_S.items()
        return told | {f'speech_model_load_phase_seconds{{phase="{name}"}}': took_s for name, took_s in phases_s}


@dataclass(frozen=True)
class Taken:
    """What the controller's processes take at one time, bytes."""

    controller: int
    """Resident, libraries included."""
    whole: int
    """With what the processes that it began have for themselves: what these share with it is counted once."""

    @classmethod
    def by(cls, controller: psutil.Process) -> Taken:
        """What is taken now."""
        its = controller.memory_info().rss
        learning = 0
        for child in controller.children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                learning += child.memory_full_info().uss
        return cls(its, its + learning)

    def most(self, other: Taken) -> Taken:
        """The larger of each."""
        return Taken(max(self.controller, other.controller), max(self.whole, other.whole))


class Watched:
    """The most that a controller took since it was asked last, looked at twice a second."""

    def __init__(self, controller: psutil.Process) -> None:
        self._controller = controller
        self._lock = threading.Lock()
        self._most = self._ever = Taken(0, 0)
        threading.Thread(target=self._watch, daemon=True).start()

    def since(self) -> Taken:
        """The most since the last question."""
        with self._lock:
            most, self._most = self._most, Taken(0, 0)
            return most

    def ever(self) -> Taken:
        """The most of all."""
        with self._lock:
            return self._ever

    def _watch(self) -> None:
        while self._controller.is_running():
            with suppress(psutil.NoSuchProcess):
                taken = Taken.by(self._controller)
                with self._lock:
                    self._most, self._ever = self._most.most(taken), self._ever.most(taken)
            time.sleep(SAMPLE_S)


@contextmanager
def stage(folder: Path, targets: int, days: float) -> Iterator[tuple[Installed, PrometheusServer]]:
    """A cluster with Deployments that are Ready, and weeks of their arrivals in Prometheus; ended with the block."""
    for each in ("plane", "prometheus", "installed"):
        (folder / each).mkdir()
    shapes = {name: Shape(number) for number, name in enumerate(names(targets), 1)}
    with control_plane(folder / "plane") as plane, exporter() as exported:
        cluster = Cluster(plane)
        installed = install(cluster, folder / "installed")
        backfill("3", folder / "prometheus", _pasts(shapes, installed.namespace, days))
        print("the past is written", file=sys.stderr, flush=True)
        with (
            played_nodes(cluster, folder),
            prometheus_server(
                "3", folder / "prometheus", SCRAPE_S, together=exported.address, kept_days=60
            ) as prometheus,
        ):
            for number in range(targets):
                deploy(cluster, installed.namespace, number)
            wait_for("all pods to be Ready", lambda: ready_pods(cluster, installed.namespace, targets), 600)
            exported.sources.append(Load(cluster, installed.namespace, exported, shapes))
            served = f"count(speech_requests_received_total) >= {targets * PODS}"
            wait_for("a scrape of all", lambda: prometheus.query(served), 120)
            yield installed, prometheus


def _pasts(shapes: Mapping[str, Shape], namespace: str, days: float) -> Mapping[str, Iterable[tuple[float, float]]]:
    """One pod of each service, which is gone by now, received it all."""
    until_s = time.time()
    return {
        f'speech_requests_received_total{{namespace="{namespace}",pod="{name}-bcdfghj-bcdfg"}}': shape.past(
            until_s, days
        )
        for name, shape in shapes.items()
    }


def learned(ours: ControllerProcess) -> int:
    """Targets that have learned their past."""
    return sum(line["event"] == "the past is learned" and bool(line["model"]) for line in ours.log())


def measure(
    installed: Installed, prometheus: PrometheusServer, targets: int, *, every: int, within_s: float, rest_s: float
) -> Iterator[str]:
    """Lines of a table: what was taken at most until so many targets had learned, and after.

    Args:
        installed, prometheus: the stage.
        targets: of the controller.
        every: so many of them between two lines.
        within_s: no longer than this.
        rest_s: how long it ticks on once all have learned, or the time is over.
    """
    policies = installed.policies(**{name: policy_text("predictive", name, prometheus.url) for name in names(targets)})
    pod = installed.pods()[0]
    with installed.controller(pod, policies, "--lease", "15/10/2", environment=environment()) as ours:
        wait_for("it to lead", ours.leading, 300)
        process = psutil.Process(ours.process.popen.pid)
        watched, began_s, so_far = Watched(process), time.monotonic(), 0
        yield "| learned | after | controller, most | with what learns, most |"
        yield "| --- | --- | --- | --- |"

        def line(what: str) -> str:
            most, passed_s = watched.since(), time.monotonic() - began_s
            return f"| {what} | {passed_s:.0f} s | {most.controller / 1e6:.0f} MB | {most.whole / 1e6:.0f} MB |"

        while so_far < targets and time.monotonic() - began_s < within_s:
            time.sleep(2.0)
            if (now := learned(ours)) >= min(targets, (so_far // every + 1) * every):
                so_far = now
                yield line(f"{so_far}")
        decisions, ended_s = ours.metric("speech_autoscaler_decisions_total"), time.monotonic()
        time.sleep(rest_s)
        decided = ours.metric("speech_autoscaler_decisions_total") - decisions
        due = targets * (time.monotonic() - ended_s) / 5.0
        yield line(f"{learned(ours)}, {rest_s:.0f} s on, {decided / due:.0%} of the ticks that were due")
        cores = sum(process.cpu_times()[:2]) / (time.monotonic() - began_s)
        most = watched.ever()
        taken = f"at most {most.controller / 1e6:.0f} MB, {most.whole / 1e6:.0f} MB with what learns"
        yield f"\ncontroller: {cores:.2f} cores, {taken}"


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m rig.learned", description=__doc__)
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--days", type=float, default=14.0, help="of past in Prometheus")
    parser.add_argument("--every", type=int, default=10, help="targets between two lines")
    parser.add_argument("--within", type=float, default=7200.0, help="seconds for learning, at most")
    parser.add_argument("--rest", type=float, default=120.0, help="seconds of ticks at the end")
    asked = parser.parse_args(arguments)
    with TemporaryDirectory() as name, stage(Path(name), asked.targets, asked.days) as (installed, prometheus):
        for line in measure(
            installed, prometheus, asked.targets, every=asked.every, within_s=asked.within, rest_s=asked.rest
        ):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
