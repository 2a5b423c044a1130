"""Others who change the size: a person once, a machine again and again."""

import pytest
from rig.installed import scale_writes
from rig.processes import wait_for
from rig.scene import BUSY, IDLE, carry, condition_of, events, policy, status_of

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]


def able(cluster, namespace):
    said = condition_of(cluster, namespace, "tts", "AbleToScale")
    return said["reason"], said["message"]


def test_a_person_is_followed_and_a_machine_that_undoes_every_write_is_left_alone(cluster, installed, pods, prometheus):
    namespace = installed.namespace
    tts = cluster.deploy(namespace, "tts", 2)
    carry(pods, tts, IDLE)
    policies = installed.policies(tts=policy("tts", prometheus.url))
    with installed.leading(installed.pods()[0], policies) as ours:

        def ruling():
            return status_of(cluster, namespace, "tts").get("ruledBy")

        wait_for("the first decision", ruling)
        cluster.kubectl("scale", "deployment", "tts", "--replicas=4", "-n", namespace)
        wait_for("a person to be named", lambda: events(cluster, namespace, "ExternalChange"))
        assert events(cluster, namespace, "ExternalChange") == ["2 → 4 replicas by kubectl"]
        wait_for("the rule to lead back: ceil(2 x 0.5 / 0.7)", lambda: tts.read().spec.replicas == 2)
        tts.wait_for_pods(2)

        carry(pods, tts, BUSY)
        for _ in range(2):
            wait_for("growth", lambda: tts.read().spec.replicas == 3)
            cluster.apps.patch_namespaced_deployment_scale(
                "tts", namespace, {"spec": {"replicas": 2}}, field_manager="argocd-controller"
            )
        [said] = wait_for("the hold", lambda: events(cluster, namespace, "SizeContested"))
        assert said.startswith("holding: argocd-controller, kubectl changed the size 3 times in ten minutes")
        wait_for("the condition", lambda: able(cluster, namespace) == ("SizeContested", said.removeprefix("holding: ")))
        written = len(scale_writes(installed))
        decided = ours.metric("speech_autoscaler_decisions_total", ruled_by="contested")
        wait_for(
            "three ticks more",
            lambda: ours.metric("speech_autoscaler_decisions_total", ruled_by="contested") >= decided + 3,
        )
        carry(pods, tts, IDLE)
        wait_for("the size to be wanted", lambda: ruling() not in (None, "contested"))
        assert able(cluster, namespace) == ("SizeContested", said.removeprefix("holding: "))
        assert ours.metric("speech_autoscaler_contested") == 1.0
    assert (tts.read().spec.replicas, len(scale_writes(installed))) == (2, written)
