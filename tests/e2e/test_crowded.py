"""A namespace that holds no more pods, and a second controller that sizes the same target."""

import pytest
from rig.account import grant
from rig.controller import controller
from rig.installed import scale_writes
from rig.processes import wait_for
from rig.scene import BUSY, IDLE, carry, condition_of, events, policy, status_of

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]
BUSIER, CALM = 1.05, 0.58
"""Three pods that are so busy want five, or three; also where a busy machine has them measured a tenth off."""


def decisions(ours):
    return ours.metric("speech_autoscaler_decisions_total")


def let_it_decide(ours, ticks):
    before = decisions(ours)
    wait_for(f"{ticks} decisions more", lambda: decisions(ours) >= before + ticks)


def pods_start(cluster, namespace):
    """Status, reason and message of the condition."""
    said = condition_of(cluster, namespace, "tts", "PodsStart")
    return said["status"], said["reason"], said["message"]


def test_a_quota_that_blocks_pods_brings_no_storm_of_orders_and_shrinking_goes_on(cluster, installed, pods, prometheus):
    namespace = installed.namespace
    tts = cluster.deploy(namespace, "tts", 2)
    carry(pods, tts, IDLE)
    with installed.leading(installed.pods()[0], installed.policies(tts=policy("tts", prometheus.url))) as ours:
        wait_for("the first decision", lambda: status_of(cluster, namespace, "tts"))
        there = len(cluster.core.list_namespaced_pod(namespace).items)
        quota = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": str(there + 1)}}}
        cluster.core.create_namespaced_resource_quota(namespace, quota)
        read = cluster.core.read_namespaced_resource_quota
        wait_for("the quota to count", lambda: (read("pods", namespace).status.used or {}).get("pods") == str(there))

        carry(pods, tts, BUSY)
        wait_for("the one pod that there is room for", lambda: len(tts.pods()) == 3)
        tts.settle(3)
        carry(pods, tts, BUSIER)
        wait_for("an order that the quota refuses: ceil(3 x 1.05 / 0.7)", lambda: tts.read().spec.replicas == 5)
        let_it_decide(ours, 10)
        assert (tts.read().spec.replicas, len(tts.pods())) == (5, 3)
        sizes = [write.replicas for write in scale_writes(installed, "tts") if write.status == 200]
        assert sizes == sorted(set(sizes)), "no order is repeated"
        wait_for("the refusal to be told", lambda: pods_start(cluster, namespace)[:2] == ("False", "PodsRefused"))
        *_, said = pods_start(cluster, namespace)
        assert said.startswith("2 pods not made: pods ")
        assert said.endswith(
            f"exceeded quota: pods, requested: pods=1, used: pods={there + 1}, limited: pods={there + 1}"
        )
        wait_for("its Event", lambda: said in events(cluster, namespace, "StartsStuck", "tts"))

        carry(pods, tts, CALM)
        wait_for("ceil(3 x 0.58 / 0.7)", lambda: tts.read().spec.replicas == 3)
        assert len(tts.pods()) == 3
        wait_for("nothing to be refused any more", lambda: pods_start(cluster, namespace)[0] == "True")
        refused = [size for size in sizes if size > 3]
        assert len(events(cluster, namespace, "StartsStuck", "tts")) <= len(refused), "one an order at most"


def named(namespace, text):
    return text.replace("metadata: {name: tts}", f"metadata: {{name: tts, namespace: {namespace}}}")


def test_two_controllers_of_two_namespaces_leave_a_target_alone_that_they_both_size(
    cluster, namespace, kubeconfig, pods, prometheus, tmp_path
):
    tts = cluster.deploy(namespace, "tts", 3)
    carry(pods, tts, IDLE)
    elsewhere = cluster.namespace()
    stranger = grant(cluster, elsewhere)
    stranger.bind("role=speech-autoscaler-targets", namespace)
    other = stranger.kubeconfig(tmp_path / "other")
    texts = {"few": policy("tts", prometheus.url, most=2), "many": policy("tts", prometheus.url, least=4)}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "tts.yaml").write_text(named(namespace, text))
    with (
        controller(tmp_path, "pod-few", tmp_path / "few", kubeconfig) as few,
        controller(tmp_path, "pod-many", tmp_path / "many", other) as many,
    ):

        def contested(ours):
            return ours.metric("speech_autoscaler_contested") == 1.0

        wait_for("one of them to see that it is not alone", lambda: contested(few) or contested(many))
        [said] = wait_for("it to say so", lambda: events(cluster, namespace, "SizeContested", "tts"))
        other_one = elsewhere if contested(few) else namespace
        assert said.startswith(f"holding: speech-autoscaler.{other_one} changed the size 3 times in ten minutes")
        held = tts.read().spec.replicas
        let_it_decide(few, 3)
        let_it_decide(many, 3)
        assert tts.read().spec.replicas == held
