"""One controller, one fault after the other: what docs/faults.md promises, on a real API server and Prometheus.

The controller runs once for all tests of this file; each test has a target of its own.
"""

import itertools
import threading
import time
from dataclasses import dataclass, replace

import pytest
from kubernetes import client
from rig.controller import ControllerProcess
from rig.exporter import Exporter
from rig.installed import NAME, Installed, install, scale_writes
from rig.processes import wait_for
from rig.prometheus import PrometheusServer, prometheus_server
from rig.proxy import CUT, WELL, Proxy, Treatment, delayed, proxy, refused
from rig.scene import BUSY, IDLE, STEPWISE, carry, events, join, policy, status_of
from rig.web import Reply, website

from autoscaler.model import Hindrance
from autoscaler.service.process import STOP_S
from autoscaler.service.wiring import REQUEST_S

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

LEASE = "9/6/1"
"""Not so short that a busy machine takes it away."""
STEADY = 0.3
"""So busy, two pods, or three or four while they are replaced, want two."""
TARGETS = (
    "conflicts",
    "refused",
    "partition",
    "deleted",
    "neighbour",
    "unschedulable",
    "crashing",
    "unpullable",
    "rollout",
    "disturbed",
    "forbidden",
)


WRITE_ERRORS = "speech_autoscaler_write_errors_total"
ERRORS = "conflict", "forbidden", "not found", "refused", "server error", "throttled", "timeout", "unreachable"


@dataclass
class World:
    """A controller behind a proxy, with two Prometheus servers: one of them may be ended."""

    installed: Installed
    between: Proxy
    own: PrometheusServer
    pods: Exporter
    ours: ControllerProcess

    def deploy(self, name, replicas=2, busy=IDLE):
        made = self.installed.cluster.deploy(self.installed.namespace, name, replicas)
        carry(self.pods, made, busy)
        return made

    def carry(self, deployment, busy):
        carry(self.pods, deployment, busy)

    def events(self, reason, about):
        return events(self.installed.cluster, self.installed.namespace, reason, about)

    def status(self, name):
        return status_of(self.installed.cluster, self.installed.namespace, name)

    def decisions(self, name):
        return self.ours.metric("speech_autoscaler_decisions_total", target=f"{self.installed.namespace}/{name}")

    def ticks(self, name, count):
        """Let so many decisions more be made for a target."""
        before = self.decisions(name)
        wait_for(f"{count} decisions for {name}", lambda: self.decisions(name) >= before + count)

    def write_errors(self, name):
        """Requests to write a target that failed, by kind."""
        target = f"{self.installed.namespace}/{name}"
        found = {kind: self.ours.metric(WRITE_ERRORS, target=target, kind="scale", error=kind) for kind in ERRORS}
        return {kind: count for kind, count in found.items() if count}

    def attempts(self, name):
        """Sizes that were sent to the API server for a target, with the status of each."""
        return [(each.replicas, each.status) for each in scale_writes(self.installed, name)]


@pytest.fixture(scope="module")
def world(cluster, pods, prometheus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    installed = install(cluster, folder)
    texts = {name: policy(name, prometheus.url) for name in TARGETS}
    texts |= {name: policy(name, prometheus.url, least=2) for name in ("rollout", "disturbed")}
    texts["conflicts"] = policy("conflicts", prometheus.url, most=20, growth=STEPWISE)
    with prometheus_server("3", tmp_path_factory.mktemp("own"), scrape_s=0.5, together=pods.address) as own:
        policies = installed.policies(**texts, restarted=policy("restarted", own.url))
        with (
            proxy(cluster.plane) as between,
            installed.leading(installed.pods()[0], policies, "--lease", LEASE, url=between.url) as ours,
        ):
            yield World(installed, between, own, pods, ours)


@pytest.fixture(autouse=True)
def _well(world):
    """What the controller had to say of a test comes with its report, if it fails."""
    before = len(world.ours.log())
    yield
    world.between.heal()
    print("\n".join(map(str, world.ours.log()[before:][-60:])))


def grown(deployment):
    """More than the two that there were. Three are wanted; on a busy machine samples are late, and it may be four."""
    return deployment.read().spec.replicas > 2


def test_growth_is_not_starved_by_conflicts(world):
    """2 to 20 pods in steps; every other write arrives when a pod has just become Ready, which raises the version."""
    crowd = world.deploy("conflicts", busy=7.0)
    turn = itertools.count()

    def a_pod_becomes_ready():
        pending = [pod.metadata.name for pod in crowd.pods() if pod.status.phase == "Pending"]
        if next(turn) % 2 == 0 and pending:
            before = crowd.read().metadata.resource_version
            crowd.make_ready(pending[0])
            wait_for("another version", lambda: crowd.read().metadata.resource_version != before)

    slow = Treatment(wait=a_pod_becomes_ready)
    world.between.treat = lambda asked: slow if asked.scales("conflicts") else delayed(0.05)
    wait_for("20 replicas", lambda: crowd.read().spec.replicas == 20, 90.0)
    attempts = world.attempts("conflicts")
    assert [replicas for replicas, status in attempts if status == 200] == [5, 8, 11, 14, 17, 20]
    conflicts = [index for index, (_, status) in enumerate(attempts) if status == 409]
    assert len(conflicts) >= 2
    errors = world.write_errors("conflicts")
    assert errors["conflict"] + errors.get("timeout", 0) >= len(conflicts), "an answer may come too late to be read"
    assert all(attempts[index + 1] == (attempts[index][0], 200) for index in conflicts), "at once, and the same size"


def test_an_api_server_that_refuses_is_asked_again_at_the_next_tick(world):
    target = world.deploy("refused", busy=BUSY)
    unheard = replace(delayed(REQUEST_S + 1.0), cut=True)
    answers = iter([refused(503), refused(429), CUT, refused(403), unheard, refused(500)])
    world.between.treat = lambda asked: next(answers, WELL) if asked.scales("refused") else WELL
    wait_for("growth", lambda: grown(target))
    assert next(answers, None) is None
    wait_for("it to be said", lambda: any("503" in said for said in world.events("ScaleFailed", "refused")))
    assert [status for _, status in world.attempts("refused")] == [200]
    assert world.write_errors("refused") == {
        "server error": 2,
        "throttled": 1,
        "unreachable": 1,
        "forbidden": 1,
        "timeout": 1,
    }


def test_a_leader_that_is_cut_off_stops_to_lead_and_goes_on_when_it_is_back(world):
    target = world.deploy("partition", busy=BUSY / 2)
    world.ticks("partition", 1)
    unasked = world.ours.metric("speech_autoscaler_lease_errors_total")
    world.between.partition()
    wait_for("it to know", lambda: not world.ours.leading())
    assert world.ours.metric("speech_autoscaler_lease_errors_total") > unasked
    world.carry(target, BUSY)
    assert world.ours.get("/healthz")[0] == 200
    world.between.heal()
    wait_for("growth", lambda: grown(target))


def test_a_target_that_is_deleted_is_said_and_taken_up_again_while_others_run_on(world):
    target, neighbour = world.deploy("deleted"), world.deploy("neighbour", busy=BUSY)
    world.ticks("deleted", 1)
    target.delete()
    wait_for("it to be said", lambda: "no Deployment" in str(world.status("deleted")))
    wait_for("the neighbour to grow", lambda: grown(neighbour))
    again = world.deploy("deleted", busy=BUSY)
    wait_for("growth", lambda: grown(again))
    assert world.events("ExternalChange", "deleted") == []


NO_NODE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
BACK_OFF = "back-off 40s restarting failed container=server"
NO_IMAGE = 'Back-off pulling image "sleeper:1"'


def unscheduled(message):
    """The status of a pod for which the scheduler has no node."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"conditions": [condition]}


def waiting(reason, message, phase):
    """The status of a pod whose container does not run."""
    state = {"waiting": {"reason": reason, "message": message}}
    container = {"name": "server", "image": "sleeper:1", "imageID": "", "ready": False, "restartCount": 5}
    return {"phase": phase, "containerStatuses": [container | {"state": state}]}


@pytest.mark.parametrize(
    ("name", "state", "hindrance", "quoted"),
    [
        ("unschedulable", unscheduled(NO_NODE), Hindrance.NO_NODE, NO_NODE),
        ("crashing", waiting("CrashLoopBackOff", BACK_OFF, "Running"), Hindrance.FAILS, BACK_OFF),
        ("unpullable", waiting("ImagePullBackOff", NO_IMAGE, "Pending"), Hindrance.NO_IMAGE, NO_IMAGE),
    ],
)
def test_pods_that_will_not_start_are_said_with_the_phase_and_no_more_are_ordered(
    world, name, state, hindrance, quoted
):
    target = world.deploy(name, busy=BUSY)
    wait_for("growth", lambda: grown(target))
    size = target.read().spec.replicas
    for pod in target.wait_for_pods(size):
        if pod.status.phase == "Pending":
            target.patch_status(pod.metadata.name, state)
    [said, *_] = wait_for("it to be said", lambda: world.events("StartsStuck", name))
    assert f" {hindrance} ({name}-" in said
    assert said.endswith(quoted)
    world.ticks(name, 4)
    assert target.read().spec.replicas == size


def test_a_rollout_and_its_undoing_change_no_size(world):
    target = world.deploy("rollout", busy=STEADY)
    world.ticks("rollout", 1)
    target.change_image("sleeper:2")
    target.wait_for_pods(3)
    world.ticks("rollout", 2)
    roll(world, target, "sleeper:2")
    world.installed.cluster.kubectl("rollout", "undo", "deployment/rollout", "-n", world.installed.namespace)
    roll(world, target, "sleeper:1")
    world.ticks("rollout", 2)
    assert target.read().spec.replicas == 2
    assert world.attempts("rollout") == []


def roll(world, target, image):
    """Play the kubelet until all pods are of the new image."""

    def rolled():
        for pod in target.pods():
            if pod.metadata.deletion_timestamp:
                target.remove(pod.metadata.name)
            elif pod.status.phase == "Pending":
                target.make_ready(pod.metadata.name)
        join(world.pods, target, STEADY)
        return [pod.spec.containers[0].image for pod in target.pods()] == [image] * 2

    wait_for(f"both pods of {image}", rolled)


def test_deletion_eviction_and_a_lost_node_change_no_size(world):
    target = world.deploy("disturbed", busy=STEADY)
    core, namespace = world.installed.cluster.core, world.installed.namespace
    budget = {
        "metadata": {"name": "disturbed"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "disturbed"}}},
    }
    client.PolicyV1Api(world.installed.cluster.api).create_namespaced_pod_disruption_budget(namespace, budget)
    first, second = (pod.metadata.name for pod in target.pods())
    target.make_ready(first, ready=False)
    world.ticks("disturbed", 2)
    with pytest.raises(client.ApiException, match="disruption budget"):
        core.create_namespaced_pod_eviction(second, namespace, {"metadata": {"name": second}})
    target.remove(first)
    target.settle(2)
    join(world.pods, target, STEADY)

    def evicted():
        try:
            return core.create_namespaced_pod_eviction(second, namespace, {"metadata": {"name": second}})
        except client.ApiException:
            return None

    wait_for("the budget to allow it", evicted)
    world.ticks("disturbed", 2)
    assert target.read().spec.replicas == 2
    assert world.attempts("disturbed") == []


def test_rights_that_were_taken_away_are_said_and_used_again_when_they_are_back(world):
    target = world.deploy("forbidden", busy=BUSY / 2)
    world.ticks("forbidden", 1)
    rights = client.RbacAuthorizationV1Api(world.installed.cluster.api)
    role = rights.read_namespaced_role(f"{NAME}-targets", world.installed.namespace)
    without = [rule for rule in role.rules if rule.resources != ["deployments/scale"]]
    rights.patch_namespaced_role(role.metadata.name, role.metadata.namespace, {"rules": without})
    try:
        world.carry(target, BUSY)
        wait_for("it to be said", lambda: any("403" in said for said in world.events("ScaleFailed", "forbidden")))
        assert target.read().spec.replicas == 2
    finally:
        rights.patch_namespaced_role(role.metadata.name, role.metadata.namespace, {"rules": role.rules})
    wait_for("growth", lambda: grown(target))


def test_without_prometheus_nothing_shrinks_and_with_it_back_it_does(world):
    target = world.deploy("restarted", replicas=3, busy=0.6)
    wait_for("a decision on data", lambda: "busy at" in str(world.status("restarted")))
    world.ticks("restarted", 20)  # so long that a counter which begins anew in the silence is below where it was
    world.own.stop()
    world.carry(target, IDLE / 2)
    wait_for("it to be said", lambda: world.events("SignalsMissing", "restarted"))
    world.ticks("restarted", 3)
    assert target.read().spec.replicas == 3
    assert world.own.start()
    wait_for("the shrink: ceil(3 x 0.25 / 0.7)", lambda: target.read().spec.replicas == 2)
    wait_for("it to be said", lambda: world.events("SignalsBack", "restarted"))


@pytest.fixture
def slow(installed, pods, prometheus):
    """A controller whose writes of sizes stay on the way until they are let go, and one that wants to grow."""
    crowd = installed.cluster.deploy(installed.namespace, "tts", 2)
    under_way, let_go = threading.Event(), threading.Event()

    def held():
        under_way.set()
        assert let_go.wait(60)

    with proxy(installed.cluster.plane) as between:
        between.treat = lambda asked: Treatment(wait=held) if asked.scales("tts") else WELL
        policies = installed.policies(tts=policy("tts", prometheus.url))
        with installed.leading(installed.pods()[0], policies, url=between.url) as ours:
            carry(pods, crowd, BUSY)
            wait_for("a write under way", under_way.is_set)
            yield crowd, ours, let_go


def test_a_write_that_arrives_before_the_end_is_finished(installed, slow):
    crowd, ours, let_go = slow
    ours.process.popen.terminate()
    let_go.set()
    assert ours.process.popen.wait(STOP_S + 1.0) == 0
    assert grown(crowd)
    assert [write.status for write in scale_writes(installed, "tts")] == [200]
    assert installed.lease().spec.holder_identity in ("", None)


def test_a_write_that_arrives_after_the_end_changes_nothing(installed, slow):
    """The Lease was given back by then, and the API server knows."""
    crowd, ours, let_go = slow
    ended_s = time.monotonic()
    ours.process.stop()
    assert time.monotonic() - ended_s < STOP_S + 1.0
    assert ours.process.popen.returncode == 0
    assert installed.lease().spec.holder_identity in ("", None)
    let_go.set()
    [write] = wait_for("it to arrive", lambda: scale_writes(installed, "tts"))
    assert write.status == 422
    assert crowd.read().spec.replicas == 2


def test_it_ends_in_time_though_prometheus_hangs(installed, prometheus):
    hung = threading.Event()

    def never(_):
        hung.set()
        return Reply(time.sleep(0.05) or b" " for _ in itertools.count())

    with website(never) as site:
        policies = installed.policies(tts=policy("tts", site.url))
        installed.cluster.deploy(installed.namespace, "tts", 1)
        with installed.leading(installed.pods()[0], policies) as ours:
            wait_for("a question to Prometheus", hung.is_set)
            ended_s = time.monotonic()
            ours.process.stop()
            assert time.monotonic() - ended_s < STOP_S + 1.0
            assert ours.process.popen.returncode == 0
    assert installed.lease().spec.holder_identity in ("", None)
