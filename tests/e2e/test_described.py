"""What a person sees who asks Kubernetes and reads no log: `kubectl describe deployment`, `kubectl get events`."""

import re

import pytest
from rig.processes import wait_for
from rig.scene import BUSY, IDLE, carry, condition_of, events, policy

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

PULL_FAILS = {
    "phase": "Pending",
    "containerStatuses": [
        {"name": "server", "image": "sleeper:1", "imageID": "", "ready": False, "restartCount": 0}
        | {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    ],
}
ENOUGH_FOR_TWO = 0.42
"""Three pods that are so busy want two, and two as well."""
UNREADY = "containers with unready status: [server]"
WHO = "speech-autoscaler"


def described(tts):
    """Type, reason and message of each of the controller's Events, as `kubectl describe` shows them."""
    shown = tts.cluster.kubectl("describe", "deployment", "tts", "-n", tts.namespace).partition("Events:")[2]
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=4) for line in shown.splitlines()]
    return [(row[0], row[1], row[4]) for row in rows if len(row) == 5 and row[3] == WHO]


def listed(tts):
    """The same, as `kubectl get events` shows them."""
    about = ("--field-selector", f"involvedObject.name=tts,reportingComponent={WHO}")
    shown = tts.cluster.kubectl("get", "events", "-n", tts.namespace, *about)
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=4) for line in shown.splitlines()[1:]]
    assert {row[3] for row in rows} == {"deployment/tts"}
    return [(row[1], row[2], row[4]) for row in rows]


def test_kubectl_shows_what_happened_to_a_target_and_why(installed, pods, prometheus):
    """It grows, its new pod will not start, a person scales it, a load that is gone lets it shrink."""
    tts = installed.cluster.deploy(installed.namespace, "tts", 2)
    carry(pods, tts, IDLE)

    def told(reason):
        wait_for(f"{reason} to be told", lambda: events(installed.cluster, installed.namespace, reason, "tts"))

    policies = installed.policies(tts=policy("tts", prometheus.url, most=3))
    with installed.leading(installed.pods()[0], policies) as controller:
        wait_for("a first decision", lambda: controller.metric("speech_autoscaler_decisions_total") > 0)
        carry(pods, tts, BUSY)
        told("Scaled")
        [new] = wait_for("the new pod", lambda: [each for each in tts.pods() if each.status.phase == "Pending"])
        tts.patch_status(new.metadata.name, PULL_FAILS)
        told("StartsStuck")
        tts.settle(3)
        carry(pods, tts, ENOUGH_FOR_TWO)
        wait_for("the shrink", lambda: tts.read().spec.replicas == 2)
        tts.cluster.kubectl("scale", "deployment", "tts", "--replicas=1", "-n", tts.namespace)
        told("ExternalChange")
    why = r"ruled by hpa metric: busy at [\d.]+ of its target: times \d ready pods asks for \d"
    expected = [("Normal", "Scaled", rf"{was} → {now} replicas, {why}") for was, now in ((2, 3), (3, 2))]
    expected.append(("Warning", "StartsStuck", rf"1 pod without image \({new.metadata.name}\): ImagePullBackOff"))
    expected.append(("Normal", "ExternalChange", "2 → 1 replicas by kubectl"))
    for shown in (described(tts), listed(tts)):
        for kind, reason, text in expected:
            assert any(row[:2] == (kind, reason) and re.fullmatch(text, row[2]) for row in shown), (text, shown)


def test_a_pod_that_runs_and_never_becomes_ready_is_told_past_the_deadline_of_its_deployment(
    installed, pods, prometheus
):
    cluster, namespace = installed.cluster, installed.namespace
    tts = cluster.deploy(namespace, "tts", 2)
    cluster.apps.patch_namespaced_deployment("tts", namespace, {"spec": {"progressDeadlineSeconds": 4}})
    carry(pods, tts, IDLE)

    def pods_start():
        said = condition_of(cluster, namespace, "tts", "PodsStart")
        return said["status"], said["reason"]

    policies = installed.policies(tts=policy("tts", prometheus.url, most=3))
    with installed.leading(installed.pods()[0], policies) as controller:
        wait_for("a first decision", lambda: controller.metric("speech_autoscaler_decisions_total") > 0)
        carry(pods, tts, BUSY)
        [new] = wait_for("the new pod", lambda: [each for each in tts.pods() if each.status.phase == "Pending"])
        tts.make_ready(new.metadata.name, ready=False)
        tts.patch_status(new.metadata.name, {"conditions": [{"type": "Ready", "status": "False", "message": UNREADY}]})
        [told] = wait_for("it to be told", lambda: events(cluster, namespace, "StartsStuck", "tts"))
        assert told == f"1 pod not Ready past the progress deadline ({new.metadata.name}): {UNREADY}"
        wait_for("the condition", lambda: pods_start() == ("False", "ProgressDeadlineExceeded"))
        tts.settle(3)
        wait_for("its end", lambda: pods_start() == ("True", "NoneStuck"))
        assert len(events(cluster, namespace, "StartsStuck", "tts")) == 1
