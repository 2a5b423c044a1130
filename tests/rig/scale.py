"""A thousand targets on a real API server: what one controller takes, and what it asks for.

Pods are played by kwok, their metrics by one exporter that a real Prometheus scrapes; the controller runs as its own
process under the account that the manifests give it. `python -m rig.scale` measures and prints a table.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from prometheus_client.parser import text_string_to_metric_families
from rig import programs
from rig.cluster import Cluster, template
from rig.control_plane import control_plane
from rig.controller import ControllerProcess
from rig.exporter import Exporter, exporter, steady
from rig.installed import Installed, environment, install
from rig.processes import start, wait_for
from rig.prometheus import PrometheusServer, prometheus_server

NODES = 10
PODS = 5
"""Of each target."""
SCRAPE_S = 5.0
TICK_S = 5.0
BUSY = 0.6
"""Of each pod: five pods at 0.7 each are wanted, and five are there."""
WRITERS = 8
_QUERIES = ("/api/v1/query", "/api/v1/query_range")
_AUDIT = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: None, userGroups: ["system:serviceaccounts:kube-system"]}
  - {level: Metadata, userGroups: ["system:serviceaccounts"]}
  - {level: None}
"""
_POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s}
spec:
  target: {kind: Deployment, name: %(name)s}
  workload: {ref: tts}
  replicas: {min: 1, max: 10}
  policy: %(policy)s
  signals:
    prometheus: {url: "%(url)s", scrapeInterval: 5s}
    %(metrics)s
"""
RULES: Mapping[str, Mapping[str, str]] = {
    "hpa": {
        "policy": "{type: hpa, controller: {horizontal-pod-autoscaler-sync-period: 5s}, metrics: "
        "[{type: Pods, pods: {metric: {name: busy}, target: {type: AverageValue, averageValue: 700m}}}]}",
        "metrics": "metrics: {busy: {signal: busy, window: 60s}}",
    },
    "predictive": {"policy": "{type: predictive, tick: 5s}", "metrics": ""},
}


@dataclass(frozen=True)
class Measured:
    """What a controller took over some time."""

    rule: str
    targets: int
    seconds: float
    cores: float
    memory_bytes: int
    """The largest."""
    tick_p99_s: float
    """Upper edge of the bucket that the quantile lies in."""
    decided_ratio: float
    """Decisions over those that were due."""
    queries_per_tick: float
    """Of Prometheus, in the time of one tick of every target."""
    requests: Mapping[str, int]
    """To the API server, by verb and kind."""

    def __str__(self) -> str:
        asked = ", ".join(f"{count} {what}" for what, count in sorted(self.requests.items())) or "none"
        return (
            f"| {self.targets} {self.rule} | {self.cores:.2f} | {self.memory_bytes / 1e6:.0f} MB "
            f"| {self.tick_p99_s:g} s | {self.decided_ratio:.0%} | {self.queries_per_tick:.1f} | {asked} |"
        )


@dataclass(frozen=True)
class Asked:
    """What a run of a rule shall stay below."""

    targets: int
    """Of so many and fewer."""
    memory_bytes: float
    cores: float = math.inf
    tick_p99_s: float = math.inf

    def missed(self, found: Measured) -> list[str]:
        """What does not stay below, in words; nothing is asked of more targets."""
        pairs = {
            "cores": (found.cores, self.cores),
            "bytes": (found.memory_bytes, self.memory_bytes),
            "s at a tick (P99)": (found.tick_p99_s, self.tick_p99_s),
        }
        over = {what: pair for what, pair in pairs.items() if pair[0] > pair[1] and found.targets <= self.targets}
        return [f"{found.targets} {found.rule}: {had:g} {what}, asked {most:g}" for what, (had, most) in over.items()]


ASKED = {"hpa": Asked(1000, 300e6, cores=0.5, tick_p99_s=1.0), "predictive": Asked(100, 600e6)}
HEAD = """\
| targets | cores | memory, most | P99 of a tick below | decided of those due | queries in 5 s | asked of the API |
| --- | --- | --- | --- | --- | --- | --- |"""


@dataclass
class Stage:
    """A cluster full of targets."""

    installed: Installed
    prometheus: PrometheusServer
    exported: Exporter

    def measure(self, rule: str, targets: int, warm_s: float, seconds: float) -> Measured:
        """Run a controller over the first of the targets, and look at it once it has warmed up."""
        texts = {name: policy_text(rule, name, self.prometheus.url) for name in names(targets)}
        folder = self.installed.policies(**texts)
        for left in set(folder.glob("*.yaml")) - {folder / f"{name}.yaml" for name in texts}:
            left.unlink()
        pod = self.installed.pods()[0]
        (self.installed.folder / f"{pod}.log").unlink(missing_ok=True)  # of the controller before
        with self.installed.controller(pod, folder, "--lease", "15/10/2", environment=environment()) as ours:
            wait_for("the controller to start", lambda: _started(ours), 300)
            wait_for("it to lead", ours.leading)
            decided = wait_for("all to be decided on", lambda: _all_decided(ours, targets), 600)
            print(f"{rule}: {decided:.0f} decisions after the start", file=sys.stderr, flush=True)
            time.sleep(warm_s)
            return self._measure(ours, rule, targets, seconds)

    def _measure(self, ours: ControllerProcess, rule: str, targets: int, seconds: float) -> Measured:
        process = psutil.Process(ours.process.popen.pid)
        before, began_s = _Seen.of(self, ours, process), time.monotonic()
        most = 0
        while time.monotonic() - began_s < seconds:
            most = max(most, process.memory_info().rss)
            time.sleep(1.0)
        after, passed_s = _Seen.of(self, ours, process), time.monotonic() - began_s
        due = targets * passed_s / TICK_S
        return Measured(
            rule=rule,
            targets=targets,
            seconds=passed_s,
            cores=(after.busy_s - before.busy_s) / passed_s,
            memory_bytes=most,
            tick_p99_s=_quantile(0.99, after.ticks - before.ticks),
            decided_ratio=(after.decisions - before.decisions) / due,
            queries_per_tick=(after.queries - before.queries) / passed_s * TICK_S,
            requests=after.requests - before.requests,
        )


@dataclass(frozen=True)
class _Seen:
    """Counters at one time."""

    busy_s: float
    decisions: float
    queries: float
    ticks: Counter[float]
    """Ticks that took longer than the bucket before and not longer than this, by upper edge."""
    requests: Counter[str]

    @classmethod
    def of(cls, stage: Stage, ours: ControllerProcess, process: psutil.Process) -> _Seen:
        times = process.cpu_times()
        return cls(
            times.user + times.system,
            _decisions(ours),
            _queries(stage.prometheus),
            _ticks(ours),
            Counter(
                f"{event['verb']} {event['objectRef']['resource']}"
                for event in stage.installed.asked()
                if event["verb"] != "watch"
            ),
        )


def policy_text(rule: str, name: str, url: str) -> str:
    """The policy file of one Deployment."""
    return _POLICY % {"name": name, "url": url, **RULES[rule]}


def names(targets: int) -> list[str]:
    """Of the Deployments."""
    return [f"service-{number:04d}" for number in range(targets)]


def _started(ours: ControllerProcess) -> bool:
    time.sleep(1.0)
    return any(line["event"] == "started" for line in ours.log())


def _decisions(ours: ControllerProcess) -> float:
    return ours.metric("speech_autoscaler_decisions_total")


def _all_decided(ours: ControllerProcess, targets: int) -> float:
    time.sleep(10.0)  # each look makes it write out all of its metrics
    decided = _decisions(ours)
    return decided if decided >= targets else 0.0


def _ticks(ours: ControllerProcess) -> Counter[float]:
    name = "speech_autoscaler_tick_duration_seconds"
    families = text_string_to_metric_families(ours.get("/metrics")[1])
    samples = (sample for family in families if family.name == name for sample in family.samples)
    below = sorted((float(each.labels["le"]), each.value) for each in samples if each.name == f"{name}_bucket")
    counts: Counter[float] = Counter()
    for (edge_s, count), (_, smaller) in zip(below, [(0.0, 0.0), *below], strict=False):
        counts[edge_s] = int(count - smaller)
    return counts


def _quantile(share: float, ticks: Counter[float]) -> float:
    due, seen = share * ticks.total(), 0
    for edge_s, count in sorted(ticks.items()):
        seen += count
        if seen >= due:
            return edge_s
    return math.nan


def _queries(prometheus: PrometheusServer) -> float:
    families = text_string_to_metric_families(prometheus.text("/metrics"))
    samples = (sample for family in families for sample in family.samples)
    return sum(
        sample.value
        for sample in samples
        if sample.name == "prometheus_http_requests_total" and sample.labels["handler"] in _QUERIES
    )


@contextmanager
def stage(folder: Path, targets: int) -> Iterator[Stage]:
    """A control plane with Deployments that are Ready, and their metrics in Prometheus; ended with the block."""
    for each in ("plane", "prometheus", "installed"):
        (folder / each).mkdir()
    audit = folder / "audit.yaml"
    audit.write_text(_AUDIT)
    with control_plane(folder / "plane", flags=[f"--audit-policy-file={audit}"]) as plane, exporter() as exported:
        cluster = Cluster(plane)
        with (
            played_nodes(cluster, folder),
            prometheus_server("3", folder / "prometheus", SCRAPE_S, together=exported.address) as prometheus,
        ):
            installed = install(cluster, folder / "installed")
            began_s = time.monotonic()
            with ThreadPoolExecutor(WRITERS) as writers:
                list(writers.map(lambda number: deploy(cluster, installed.namespace, number), range(targets)))
            pods = wait_for("all pods to be Ready", lambda: ready_pods(cluster, installed.namespace, targets), 1800)
            print(f"{len(pods)} pods after {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)
            for pod in pods:
                exported.pods[installed.namespace, pod] = steady(4.0, BUSY)
            question = "count(count_over_time(speech_requests_received_total[10m]) >= 14)"
            wait_for("a window of scrapes", lambda: _first(prometheus, question) == str(targets * PODS), 600)
            yield Stage(installed, prometheus, exported)


@contextmanager
def played_nodes(cluster: Cluster, folder: Path) -> Iterator[None]:
    """Nodes whose pods kwok makes Ready, until the block ends."""
    for number in range(NODES):
        cluster.core.create_node({"metadata": {"name": f"node-{number}"}})
    stages = programs.shared() / "servers" / "kwok-stages.yaml"
    arguments = [
        *("--kubeconfig", str(cluster.plane.kubeconfig), "--manage-all-nodes=true", "--config", str(stages)),
        *("--cidr", "10.0.0.0/8", "--node-ip", "10.1.0.1"),
    ]
    kwok = start(programs.kubernetes("kwok"), arguments, folder / "kwok.log")
    try:
        yield
    finally:
        kwok.stop()


def deploy(cluster: Cluster, namespace: str, number: int) -> None:
    """Order the pods of one target, on one of the played nodes."""
    name = names(number + 1)[-1]
    pod = template(name)
    pod["spec"]["nodeName"] = f"node-{number % NODES}"
    body = {
        "metadata": {"name": name},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": name}}, "template": pod},
    }
    cluster.apps.create_namespaced_deployment(namespace, body)


def ready_pods(cluster: Cluster, namespace: str, targets: int) -> list[str]:
    """Names of the pods of some targets once all are Ready."""
    time.sleep(10.0)  # each look reads thousands of pods
    listed = cluster.core.list_namespaced_pod(namespace, field_selector="status.phase=Running", _preload_content=False)
    found = [pod["metadata"]["name"] for pod in json.loads(listed.data)["items"]]
    return found if len(found) == targets * PODS else []


def _first(prometheus: PrometheusServer, question: str) -> str:
    found = prometheus.query(question)
    return str(found[0]["value"][1]) if found else ""


def main(arguments: Sequence[str]) -> int:
    """Measure each of the given runs and print a table; 1 where one takes more than was asked for."""
    parser = argparse.ArgumentParser(prog="python -m rig.scale", description=__doc__)
    parser.add_argument("--run", action="append", help="rule:targets, such as hpa:1000; may be given more than once")
    parser.add_argument("--warm", type=float, default=60.0, help="seconds before a measurement")
    parser.add_argument("--seconds", type=float, default=120.0, help="of a measurement")
    asked = parser.parse_args(arguments)
    runs = [(rule, int(targets)) for rule, _, targets in (run.partition(":") for run in asked.run or ["hpa:1000"])]
    with TemporaryDirectory() as name, stage(Path(name), max(targets for _, targets in runs)) as ready:
        print(HEAD, flush=True)
        missed = []
        for rule, targets in runs:
            found = ready.measure(rule, targets, asked.warm, asked.seconds)
            print(found, flush=True)
            missed += ASKED[rule].missed(found)
    print("\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
