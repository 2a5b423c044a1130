"""Pods that a running controller drains by label leave once they hold and receive nothing."""

import pytest
from rig.installed import install
from rig.node import InstantRuntime, node
from rig.processes import wait_for
from rig.scene import carry, policy

from autoscaler.cluster.objects import ROLE_LABEL

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

FOR_ONE = 0.2
"""Three pods that are busy for this share of the time do what one would."""


def draining(deployment):
    """Names of the pods that were taken out of the Service to end."""
    return sorted(pod.metadata.name for pod in deployment.pods() if pod.metadata.labels.get(ROLE_LABEL) == "draining")


def at_rest(exporter, namespace, pod):
    """From now on a pod's counters stand, and it holds nothing."""
    last = exporter.pods[namespace, pod]() | {"speech_requests_in_flight": 0.0}
    exporter.pods[namespace, pod] = lambda: last


def test_a_drain_by_label_ends_when_the_pods_are_empty_and_takes_no_other(cluster, tmp_path, pods, prometheus):
    ours = install(cluster, tmp_path, "gated")  # whose rights include a pod's role
    by_label = policy("tts", prometheus.url).replace("  replicas:", "  drain: label\n  replicas:")
    with node(cluster, ours.namespace, InstantRuntime()):
        tts = cluster.order(ours.namespace, "tts", 3)
        wait_for("three pods to be ready", lambda: tts.ready() == 3)
        before = {pod.metadata.name for pod in tts.pods()}
        carry(pods, tts, FOR_ONE)
        with ours.leading(ours.pods()[0], ours.policies(tts=by_label)):
            leaving = wait_for("two that drain", lambda: two if len(two := draining(tts)) == 2 else None)
            assert tts.read().spec.replicas == 3  # they still hold requests
            for pod in leaving:
                at_rest(pods, ours.namespace, pod)
            wait_for("their end", lambda: tts.read().spec.replicas == 1)
            tts.wait_for_pods(1)
            assert {pod.metadata.name for pod in tts.pods()} == before - set(leaving)
