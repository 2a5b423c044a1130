"""Gated standby beside what people, nodes and a crash do: promoted at once, and no pod is left in a wrong role.

Two pods serve and two stand by, of the Deployment that the manifests bring, behind its Service and under its budget.
"""

import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pytest
import yaml
from kubernetes import client
from rig.balancer import Endpoints
from rig.cluster import ROLE, Deployment
from rig.contenders import Ours
from rig.controller import QUICK_LEASE
from rig.installed import Installed, install, stale_writes, written_by
from rig.node import InstantRuntime, Node, node
from rig.processes import wait_for
from rig.proxy import WELL, Treatment, proxy
from rig.scene import Shared

from autoscaler.cluster.actuator import DELETION_COST
from autoscaler.cluster.objects import COST_ANNOTATION
from autoscaler.policies.build import build
from autoscaler.policies.predictive.policy import OBSERVE_FIRST_S
from autoscaler.spec import find_policy

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

SERVING = RESERVE = 2
LOAD = 0.2
"""Busy pods: two are enough."""
PROMOTED_S = 1.0 + 1.0
"""A tick, and the Service's own time."""
LEASE_S, _, RETRY_S = map(float, QUICK_LEASE.split("/"))
TAKEOVER_S = LEASE_S + 2 * 1.2 * RETRY_S
SLACK_S = 3.0
"""For processes that share two cores with a control plane."""


@dataclass
class Gated:
    """The target, who plays its node, and what its Service sends to."""

    installed: Installed
    deployment: Deployment
    runtime: InstantRuntime
    node: Node
    service: Endpoints

    def policies(self, url, serving=SERVING):
        """The folder with the shipped policy."""
        return self.installed.policies(push=policy(self.installed.namespace, url, serving))

    def roles(self, *, loaded=True):
        """Names of the Ready pods by role, or of those that load; without those that end."""
        found = defaultdict(set)
        for pod in self.deployment.pods():
            ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
            if ready is loaded and not pod.metadata.deletion_timestamp:
                found[pod.metadata.labels[ROLE]].add(pod.metadata.name)
        return found

    def begin(self):
        """Make it as it shall be by hand: a controller would leave what serves in service for 30 s."""
        self.deployment.scale(SERVING + RESERVE)
        wait_for("four pods", lambda: len(self.deployment.pods()) == self.deployment.ready() == SERVING + RESERVE)
        for index, pod in enumerate(self.deployment.pods()):
            role = "serving" if index < SERVING else "standby"
            metadata = {"labels": {ROLE: role}, "annotations": {COST_ANNOTATION: DELETION_COST[role]}}
            core, namespace = self.deployment.cluster.core, self.deployment.namespace
            core.patch_namespaced_pod(pod.metadata.name, namespace, {"metadata": metadata})

    def settle(self, serving=SERVING):
        """Wait until nothing is left to do: the roles, what they cost, the size, and what the Service sends to."""

        def as_wished():
            roles, pods = self.roles(), self.deployment.pods()
            return (
                {role: len(names) for role, names in roles.items()} == {"serving": serving, "standby": RESERVE}
                and len(pods) == serving + RESERVE == self.deployment.read().spec.replicas
                and all(costs(pod) == DELETION_COST[pod.metadata.labels[ROLE]] for pod in pods)
                and self.behind() == roles["serving"]
            )

        wait_for(f"{serving} that serve and {RESERVE} that stand by", as_wished)

    def behind(self):
        """Names of the pods that the Service sends to."""
        return self.deployment.endpoints()

    @contextmanager
    def never_below(self, pods):
        """All the while the Service sends to so many pods at least."""
        wait_for("the Service to be so far", lambda: len(self.service.addresses) >= pods)
        before = len(self.service.sizes)
        yield
        assert min((count for _, count in self.service.sizes[before:]), default=pods) >= pods

    @contextmanager
    def soon_made_up_for(self):
        """Whenever one less serves than shall, a promotion ends that; two less never do."""
        before = len(self.service.sizes)
        with self.never_below(SERVING - 1):
            yield
            wait_for("all to serve", lambda: len(self.service.addresses) >= SERVING)
        sizes = self.service.sizes[before:]
        lacking_s = [until_s - since_s for (since_s, count), (until_s, _) in pairwise(sizes) if count < SERVING]
        assert max(lacking_s, default=0.0) < PROMOTED_S + SLACK_S

    def evict(self, pod):
        """As a drain of its node does; refused where the budget does not allow it."""
        body = {"metadata": {"name": pod}}
        self.deployment.cluster.core.create_namespaced_pod_eviction(pod, self.deployment.namespace, body)

    def kubectl(self, *arguments):
        """What a person types in the target's namespace."""
        self.deployment.cluster.kubectl(*arguments, "-n", self.deployment.namespace)


def policy(namespace, url, serving=SERVING):
    """The shipped `holiday-push`, whose bounds leave it one wish: whatever changes is a disturbance, or is mended."""
    shipped = yaml.safe_load(Ours(RESERVE).policy(namespace, url))
    shipped["spec"]["replicas"] = {"min": serving + RESERVE, "max": serving + RESERVE}
    shipped["spec"]["standby"]["max"] = RESERVE
    return yaml.safe_dump(shipped)


def let_it_have_run_before(installed, url):
    """Leave what a controller keeps after its first minute, in which it would let all pods be as they are."""
    path = installed.folder / "push.yaml"
    path.write_text(policy(installed.namespace, url))
    built, _ = build(find_policy(str(path)))
    memory = built.start()
    memory.steering.age_s = OBSERVE_FIRST_S
    body = {
        "metadata": {
            "name": f"autoscaler.{installed.namespace}.emotivoice",
            "labels": {"app.kubernetes.io/managed-by": "speech-autoscaler", "autoscaling.speech/kind": "status"},
        },
        "data": {"memory.json": built.keep(memory, time.time()).decode()},
    }
    installed.cluster.core.create_namespaced_config_map(installed.namespace, body)


def decided(ours):
    return "desired_replicas{" in ours.get("/metrics")[1]


def costs(pod):
    return (pod.metadata.annotations or {}).get(COST_ANNOTATION)


@contextmanager
def standing(cluster, pods, prometheus, folder):
    """The target in a namespace of its own, as it shall be, and nobody who sizes it yet."""
    installed, runtime = install(cluster, folder, "gated"), InstantRuntime()
    let_it_have_run_before(installed, prometheus.url)
    deployment = Deployment(cluster, installed.namespace, "emotivoice", "app.kubernetes.io/name=emotivoice")
    service, others = Endpoints(cluster, installed.namespace, "emotivoice"), list(pods.sources)
    with node(cluster, installed.namespace, runtime) as playing:
        service.start()
        made = Gated(installed, deployment, runtime, playing, service)
        made.begin()
        Shared(pods, deployment, LOAD)
        yield made
        pods.sources[:] = others
        service.stop()


@pytest.fixture(scope="module")
def led(cluster, pods, prometheus, tmp_path_factory):
    """Under a controller that has seen what serves: that would go on for 30 s."""
    with standing(cluster, pods, prometheus, tmp_path_factory.mktemp("gated")) as gated:
        policies = gated.policies(prometheus.url)
        with gated.installed.leading(gated.installed.pods()[0], policies) as ours:
            wait_for("its first decision", partial(decided, ours))
            yield gated


@pytest.fixture
def sized(led):
    """As it shall be."""
    led.settle()
    yield led
    led.runtime.loads = True


@pytest.mark.parametrize("how", ["deleted", "evicted"])
def test_for_a_pod_that_is_taken_away_one_that_stands_by_serves_before_another_has_loaded(sized, how):
    leaving, staying = sorted(sized.behind())
    reserve = sized.roles()["standby"]
    sized.runtime.loads = False
    with sized.soon_made_up_for():
        if how == "deleted":
            sized.kubectl("delete", "pod", leaving, "--wait=false")
        else:
            sized.evict(leaving)
        wait_for("its end", lambda: leaving not in sized.behind())
    wait_for("a promotion", lambda: len(sized.behind()) == SERVING)
    promoted = sized.behind() - {staying}
    assert promoted < reserve
    with sized.never_below(SERVING):
        if how == "evicted":
            with pytest.raises(client.ApiException, match="disruption budget"):
                sized.evict(staying)
        sized.runtime.loads = True
        sized.settle()
    assert sized.behind() == {staying} | promoted, "who came later stands by"


def test_a_pod_that_stands_by_and_is_taken_away_costs_the_service_nothing(sized):
    """What comes for it is to stand by before it has loaded: it never serves."""
    serving = sized.behind()
    sized.runtime.loads = False
    with sized.never_below(SERVING):
        sized.kubectl("delete", "pod", *sized.roles()["standby"], "--wait=false")
        wait_for("the next ones to be gated", lambda: len(sized.roles(loaded=False)["standby"]) == RESERVE)
        sized.runtime.loads = True
        sized.settle()
    assert sized.behind() == serving


def test_for_the_pods_of_a_lost_node_those_that_stand_by_serve(sized):
    """It takes one that serves and one that stands by: first they are not Ready any more, later they are gone."""
    staying, lost = sorted(sized.behind())
    reserve, lost_reserve = sorted(sized.roles()["standby"])
    sized.runtime.loads = False
    with sized.soon_made_up_for():
        for pod in (lost, lost_reserve):
            sized.deployment.make_ready(pod, ready=False)
        wait_for("a promotion", lambda: sized.behind() == {staying, reserve})
    with sized.never_below(SERVING):
        for pod in (lost, lost_reserve):
            sized.deployment.remove(pod)
        sized.runtime.loads = True
        sized.settle()
    assert sized.behind() == {staying, reserve}


def test_a_drain_of_the_node_of_all_pods_takes_one_after_the_other(sized):
    """As `kubectl drain` does it, under the budget that the manifests ship."""
    before = sized.node.place or sized.node.name
    sized.node.go_elsewhere()
    with sized.soon_made_up_for():
        chosen = ("--pod-selector", sized.deployment.selector, "--delete-emptydir-data", "--timeout", "60s")
        sized.deployment.cluster.kubectl("drain", before, *chosen)
        sized.settle()
    assert {pod.spec.node_name for pod in sized.deployment.pods()} == {sized.node.place}


def test_a_rolling_update_and_its_undoing_cost_the_service_no_pod(sized):
    """The shipped Deployment keeps all that there are until their successors are loaded."""
    first = sized.deployment.pods()[0].spec.containers[0].image

    def images():
        return {pod.spec.containers[0].image for pod in sized.deployment.pods()}

    with sized.never_below(SERVING):
        sized.kubectl("set", "image", "deployment/emotivoice", "server=speech-inference:0.1.1")
        wait_for("the first of the next image alone", lambda: images() == {"speech-inference:0.1.1"})
        sized.settle()
        sized.kubectl("rollout", "undo", "deployment/emotivoice")
        wait_for("the first image alone", lambda: images() == {first})
        sized.settle()


def test_a_person_who_scales_takes_pods_that_stand_by_first_and_the_size_comes_back(sized):
    serving = sized.behind()
    with sized.never_below(SERVING):
        sized.kubectl("scale", "deployment/emotivoice", "--replicas=3")
        wait_for("a pod less", lambda: sized.deployment.read().status.replicas == 3)
        sized.settle()
        assert sized.behind() == serving
        sized.kubectl("scale", "deployment/emotivoice", "--replicas=6")
        wait_for("two more", lambda: sized.deployment.read().status.replicas == 6)
        sized.settle()


@pytest.fixture
def gated(cluster, pods, prometheus, tmp_path):
    with standing(cluster, pods, prometheus, tmp_path) as made:
        yield made


def relabels(installed, pod):
    """How the API server answered each relabel that a pod of the controller sent it."""
    return [
        event["responseStatus"]["code"]
        for event in installed.asked(verb="patch")
        if event["objectRef"]["resource"] == "pods" and written_by(event) == pod
    ]


class SecondHeld:
    """Keeps back all relabels of pods but the first."""

    def __init__(self):
        self.done, self.held, self.let_go = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, asked):
        if asked.method != "PATCH" or "/pods/" not in asked.path:
            return WELL
        if not self.done.is_set():
            self.done.set()
            return WELL
        return Treatment(wait=self._wait)

    def _wait(self):
        self.held.set()
        assert self.let_go.wait(60)


def test_of_two_promotions_between_which_the_leader_is_killed_the_next_one_makes_the_second(cluster, prometheus, gated):
    """The write that was under way arrives when another leads, and changes nothing."""
    first, second = gated.installed.pods()
    policies, held = gated.policies(prometheus.url), SecondHeld()
    with (
        proxy(cluster.plane) as between,
        gated.installed.leading(first, policies, url=between.url) as old,
        gated.installed.controller(second, policies) as new,
    ):
        wait_for("both to have decided", lambda: decided(old) and decided(new))
        gated.settle()
        before = len(relabels(gated.installed, first))
        gated.runtime.loads = False  # whatever is ordered comes too late
        between.treat = held
        with gated.never_below(SERVING):
            gated.policies(prometheus.url, serving=SERVING + 2)
            wait_for("the second promotion to be under way", held.held.is_set)
            wait_for("the first in effect", lambda: len(gated.service.addresses) == SERVING + 1)
        old.process.kill()
        with gated.never_below(SERVING + 1):
            within_s = TAKEOVER_S + PROMOTED_S + SLACK_S
            wait_for("the second promotion", lambda: len(gated.service.addresses) == SERVING + 2, within_s)
        with gated.never_below(SERVING + 2):
            held.let_go.set()
            wait_for("the late write", lambda: relabels(gated.installed, first)[before + 1 :])
            gated.runtime.loads = True
            gated.settle(SERVING + 2)
        done, *late = relabels(gated.installed, first)[before:]
        assert (done, set(late) <= {409, 422}) == (200, True), late
    assert stale_writes(gated.installed) == []
