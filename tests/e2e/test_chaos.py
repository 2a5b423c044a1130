"""Random faults, one after the other, on two controllers: 25 here, 200 with `make soak`.

SOAK_FAULTS and SOAK_SEED choose how many and which. Afterwards the audit log and both decision logs are the witnesses.
"""

import os
import random
import signal
import threading
import time
from contextlib import ExitStack

import pytest
from kubernetes import client
from rig.command import autoscaler
from rig.controller import controller
from rig.installed import NAME, scale_writes, stale_writes
from rig.processes import wait_for
from rig.prometheus import prometheus_server
from rig.proxy import WELL, delayed, proxy, refused
from rig.scene import Shared, policy

from autoscaler.journal.log import read
from autoscaler.model import Observation, Scale

pytestmark = [pytest.mark.cluster, pytest.mark.prometheus, pytest.mark.slow, pytest.mark.timeout(3600)]

FAULTS, SEED = int(os.environ.get("SOAK_FAULTS", "25")), int(os.environ.get("SOAK_SEED", "1"))
MOST = 8
READY_AFTER_S = 0.5


class Nodes:
    """Plays the kubelets: pods become Ready a little after they were made, and end when they shall."""

    def __init__(self, target):
        self.target, self.ended = target, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        seen = {}
        while not self.ended.wait(0.1):
            for pod in self.target.pods():
                name = pod.metadata.name
                try:
                    if pod.metadata.deletion_timestamp:
                        self.target.remove(name)
                    elif (
                        pod.status.phase == "Pending"
                        and time.monotonic() > seen.setdefault(name, time.monotonic()) + READY_AFTER_S
                    ):
                        self.target.make_ready(name)
                except client.ApiException:
                    continue  # it was faster: gone, or changed meanwhile

    def stop(self):
        self.ended.set()
        self.thread.join()


class Storm:
    """Two controllers, each behind a proxy, and all that can be done to them. Every fault is over when it returns."""

    def __init__(self, installed, prometheus, load, target, policies, proxies, start):
        self.installed, self.prometheus, self.load, self.target = installed, prometheus, load, target
        self.policies, self.proxies, self.start = policies, proxies, start
        self.chance = random.Random(SEED)
        self.running = {pod: start(pod) for pod in proxies}
        self.by_hand = 0

    def strike(self):
        faults = [
            self.kill, self.stop_for_longer_than_the_lease, self.partition, self.server_errors, self.slow_writes,
            self.half_open_watches, self.broken_watches, self.without_prometheus, self.without_lease,
            self.lose_a_pod, self.scale_by_hand, self.another_load, self.another_load,
        ]  # fmt: skip
        fault = self.chance.choice(faults)
        fault()
        return fault.__name__

    def one(self):
        return self.chance.choice(sorted(self.proxies))

    def kill(self):
        pod = self.one()
        self.running[pod].process.kill()
        self.running[pod] = self.start(pod)

    def stop_for_longer_than_the_lease(self):
        popen = self.running[self.one()].process.popen
        popen.send_signal(signal.SIGSTOP)
        time.sleep(4.0)
        popen.send_signal(signal.SIGCONT)

    def partition(self):
        between = self.proxies[self.one()]
        between.partition()
        time.sleep(self.chance.uniform(0.5, 4.0))
        between.heal()

    def server_errors(self):
        self._treat(lambda _: refused(self.chance.choice([409, 410, 429, 500, 503])), 1.0)

    def slow_writes(self):
        self._treat(lambda asked: delayed(0.5) if asked.method != "GET" else WELL, 2.0)

    def _treat(self, treat, seconds):
        between = self.proxies[self.one()]
        between.treat = treat
        time.sleep(seconds)
        between.heal()

    def half_open_watches(self):
        between = self.proxies[self.one()]
        between.mute = True
        time.sleep(1.0)
        between.cut()
        between.heal()

    def broken_watches(self):
        self.proxies[self.one()].cut()

    def without_prometheus(self):
        self.prometheus.stop()
        time.sleep(self.chance.uniform(0.2, 2.0))
        assert self.prometheus.start()

    def without_lease(self):
        self.installed.cluster.kubectl("delete", "lease", NAME, "-n", self.installed.namespace, "--ignore-not-found")

    def lose_a_pod(self):
        pods = [pod.metadata.name for pod in self.target.pods()]
        if pods:
            self.target.cluster.kubectl(
                "delete",
                "pod",
                self.chance.choice(pods),
                "-n",
                self.target.namespace,
                "--wait=false",
                "--ignore-not-found",
            )

    def scale_by_hand(self):
        """Twice at most: a third time would be a contest, which has its own test."""
        if self.by_hand < 2:
            self.by_hand += 1
            self.target.scale(self.chance.randint(1, MOST))

    def another_load(self):
        self.load.total = self.chance.uniform(0.2, 0.6 * MOST)


@pytest.fixture
def storm(cluster, installed, pods, tmp_path):
    target = cluster.deploy(installed.namespace, "tts", 2)
    load = Shared(pods, target, 1.2)
    nodes = Nodes(target)
    with ExitStack() as stack:
        stack.callback(nodes.stop)
        stack.callback(pods.sources.clear)
        prometheus = stack.enter_context(prometheus_server("3", tmp_path, scrape_s=0.5, together=pods.address))
        policies = installed.policies(tts=policy("tts", prometheus.url, most=MOST))
        proxies = {pod: stack.enter_context(proxy(cluster.plane)) for pod in installed.pods()}

        def start(pod):
            kubeconfig, journal = installed.kubeconfig(pod, proxies[pod].url), tmp_path / f"{pod}.jsonl"
            return stack.enter_context(controller(tmp_path, pod, policies, kubeconfig, "--journal", journal))

        yield Storm(installed, prometheus, load, target, policies, proxies, start)


def test_random_faults_break_no_promise_and_all_ends_well(storm, tmp_path):
    wait_for("a leader", storm.installed.lease, 180.0)
    struck = []
    for _ in range(FAULTS):
        struck.append(storm.strike())
        time.sleep(storm.chance.uniform(0.2, 1.0))
    storm.load.total = 0.62 * 5
    wait_for(f"the size for the load, after {struck}", lambda: storm.target.read().spec.replicas == 5, 90.0)

    assert stale_writes(storm.installed) == []
    written = [each for each in scale_writes(storm.installed) if each.status == 200]
    assert written
    assert all(1 <= each.replicas <= MOST for each in written)
    for pod in storm.proxies:
        log = tmp_path / f"{pod}.jsonl"
        for tick in read(log):
            keeps_its_promises(tick)
        ended = autoscaler("rerun", log, "--policies", storm.policies, "--namespace", storm.installed.namespace)
        assert ended.code == 0, ended.out + ended.err


def keeps_its_promises(tick):
    if not isinstance(tick.seen, Observation):
        assert (tick.decision, tick.outcomes) == (None, ())
        return
    scales = [outcome.action for outcome in tick.outcomes if isinstance(outcome.action, Scale)]
    assert len(scales) <= 1
    assert all(step.reason for step in tick.decision.steps)
    if tick.seen.signals.problems:
        assert all(scale.replicas >= scale.was for scale in scales), tick
