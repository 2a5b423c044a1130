"""Rollouts that stop half-way while the load changes, and a node that is drained: the size is the load's alone."""

import pytest
from kubernetes import client
from rig.cluster import Deployment
from rig.command import autoscaler
from rig.installed import install, scale_writes
from rig.node import InstantRuntime, node
from rig.processes import wait_for
from rig.scene import LOAD_S, Shared, policy, status_of

from autoscaler.cluster.starts import PHASES
from autoscaler.service.loading import SETTLED_S

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

FOR_ONE, FOR_TWO, FOR_FOUR, FOR_ABOUT_FOUR = 0.45, 1.3, 2.7, 2.5
"""Busy pods; each shall be busy for 0.7 of the time."""


def let_it_decide(ours, ticks):
    before = ours.metric("speech_autoscaler_decisions_total")
    wait_for(f"{ticks} decisions more", lambda: ours.metric("speech_autoscaler_decisions_total") >= before + ticks)


def condition(deployment, reason):
    return any(each.reason == reason for each in deployment.read().status.conditions or ())


def images(deployment):
    return sorted(pod.spec.containers[0].image for pod in deployment.pods())


@pytest.fixture
def runtime():
    return InstantRuntime()


@pytest.fixture
def tts(cluster, installed, runtime):
    with node(cluster, installed.namespace, runtime):
        made = cluster.order(installed.namespace, "tts", 2)
        wait_for("two pods to be ready", lambda: made.ready() == 2)
        yield made


@pytest.mark.parametrize("stops", ["paused", "late"])
def test_a_rollout_that_stops_half_way_keeps_no_size(installed, pods, prometheus, runtime, tts, stops):
    """Its pods count as long as they serve, whichever template they are of, and it ends as it was begun."""
    load = Shared(pods, tts, FOR_TWO)
    with installed.leading(installed.pods()[0], installed.policies(tts=policy("tts", prometheus.url))) as ours:
        let_it_decide(ours, 3)
        runtime.loads = False
        tts.change_image("sleeper:2")
        tts.wait_for_pods(3)
        rollout = ("-n", installed.namespace, "deployment/tts")
        if stops == "paused":
            installed.cluster.kubectl("rollout", "pause", *rollout)
            runtime.loads = True
            wait_for("three that serve", lambda: tts.ready() == 3)
        else:
            hasty = {"spec": {"progressDeadlineSeconds": 1}}
            tts.cluster.apps.patch_namespaced_deployment("tts", installed.namespace, hasty)
            wait_for("it to be late", lambda: condition(tts, "ProgressDeadlineExceeded"))
        load.total = FOR_FOUR
        wait_for("growth", lambda: tts.read().spec.replicas == 4)
        let_it_decide(ours, 3)
        load.total = FOR_ONE
        # Of two templates whose pods do not all load, no more are given up than serve beyond what is wanted.
        wait_for("as many as one pod's load needs", lambda: tts.ready() == 1)
        if stops == "paused":
            wait_for("as few as that", lambda: tts.read().spec.replicas == 1)
        let_it_decide(ours, 3)
        assert tts.ready() == 1
        runtime.loads = True
        if stops == "paused":
            installed.cluster.kubectl("rollout", "resume", *rollout)
        wait_for("its end", lambda: images(tts) == ["sleeper:2"])
        load.total = FOR_TWO
        wait_for("two again", lambda: tts.read().spec.replicas == 2)


def test_a_node_is_drained_of_several_pods_and_the_size_stays(cluster, installed, pods, prometheus, runtime):
    """As `kubectl drain` does it, under the budget that the manifests ship: one after the other, each replaced."""
    namespace = installed.namespace
    tts = Deployment(cluster, namespace, "emotivoice", "app.kubernetes.io/name=emotivoice")
    with node(cluster, namespace, runtime) as playing:
        tts.scale(3)
        wait_for("three on one node", lambda: tts.ready() == 3)
        playing.go_elsewhere()
        tts.scale(4)
        wait_for("a fourth on another", lambda: tts.ready() == 4)
        budget = client.PolicyV1Api(cluster.api).read_namespaced_pod_disruption_budget
        wait_for("the budget to know", lambda: budget("emotivoice", namespace).status.disruptions_allowed == 1)
        Shared(pods, tts, FOR_ABOUT_FOUR)
        policies = installed.policies(emotivoice=policy("emotivoice", prometheus.url, least=2))
        with installed.leading(installed.pods()[0], policies) as ours:
            let_it_decide(ours, 3)
            chosen = ("--pod-selector", tts.selector, "--delete-emptydir-data", "--timeout", "60s")
            cluster.kubectl("drain", playing.name, *chosen)
            wait_for("four ready elsewhere", lambda: places(tts) == [playing.place] * 4 and tts.ready() == 4)
            let_it_decide(ours, 3)
            assert tts.read().spec.replicas == 4
            assert scale_writes(installed, "emotivoice") == []


def places(deployment):
    return [pod.spec.node_name for pod in deployment.pods()]


def test_what_starts_take_is_learned_by_phase(installed, pods, prometheus, tts):
    load = Shared(pods, tts, FOR_TWO)
    with installed.leading(installed.pods()[0], installed.policies(tts=policy("tts", prometheus.url))) as ours:
        let_it_decide(ours, 3)
        load.total = FOR_FOUR
        wait_for("growth", lambda: tts.ready() == 4)
        [starts] = wait_for(
            "the starts", lambda: status_of(installed.cluster, installed.namespace, "tts").get("starts")
        )
        assert (starts["images"], starts["nodeSelector"], set(starts["seconds"])) == (["sleeper:1"], {}, set(PHASES))
        assert 1 <= starts["count"] <= 2
        shown = {"phase": "ready", "quantile": "0.95"}
        assert ours.metric("speech_autoscaler_start_seconds", **shown) == starts["seconds"]["ready"]["p95"] < 30


def test_what_servers_do_while_they_load_and_on_which_nodes_is_told(cluster, tmp_path, pods, prometheus, runtime):
    installed = install(cluster, tmp_path, "nodes")
    with node(cluster, installed.namespace, runtime) as playing:
        cluster.core.patch_node(playing.name, {"metadata": {"labels": {"node.kubernetes.io/instance-type": "a2"}}})
        playing.ready_for_s = 2 * SETTLED_S
        tts = cluster.order(installed.namespace, "tts", 2)
        wait_for("two pods to be ready", lambda: tts.ready() == 2)
        Shared(pods, tts, FOR_TWO)
        policies = installed.policies(tts=policy("tts", prometheus.url))
        with installed.leading(installed.pods()[0], policies) as ours:
            [starts] = wait_for(
                "what the servers told", lambda: status_of(cluster, installed.namespace, "tts").get("starts")
            )
            told = {phase: {"p50": took_s, "p95": took_s} for phase, took_s in LOAD_S.items()}
            assert (starts["nodeType"], starts["load"]) == ("a2", {"count": 2, "seconds": told})
            shown = {"phase": "weights", "node_type": "a2", "quantile": "0.5"}
            assert ours.metric("speech_autoscaler_load_seconds", **shown) == LOAD_S["weights"]
        path = installed.kubeconfig(installed.pods()[0])
        said = autoscaler("explain", f"{installed.namespace}/tts", "--kubeconfig", path)
        assert "of that, the server, 2 seen: import 3 s (95 %: 3 s), weights 8 s" in said.out
