"""An API server that is restarted under a running controller: it has a control plane of its own."""

from collections import Counter

import pytest
from rig import programs
from rig.cluster import Cluster
from rig.control_plane import control_plane
from rig.processes import wait_for
from rig.proxy import proxy
from rig.scene import BUSY, IDLE, carry, policy

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

KINDS = {"deployments", "replicasets", "pods"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        with control_plane(tmp_path_factory.mktemp("restarted")) as plane:
            yield Cluster(plane)
    except programs.Absent as missing:
        pytest.skip(f"needs a Kubernetes control plane: {missing}")


def lists(installed):
    """How often each kind that makes up a fleet was listed to be watched; after a conflict one fleet is read anew."""
    answered = (event for event in installed.asked(verb="list") if event["responseStatus"]["code"] == 200)
    listed = (event for event in answered if "labelSelector" not in event["requestURI"])
    return Counter(kind for each in listed if (kind := each["objectRef"]["resource"]) in KINDS)


def test_after_a_restart_that_forgets_where_watches_stood_all_is_listed_once_and_sized_on(
    cluster, installed, pods, prometheus
):
    """Real 410 Gone: between the controller's last word from it and the restart pods were replaced."""
    tts = cluster.deploy(installed.namespace, "tts", 2)
    carry(pods, tts, IDLE)
    policies = installed.policies(tts=policy("tts", prometheus.url))
    with (
        proxy(cluster.plane) as between,
        installed.leading(installed.pods()[0], policies, url=between.url) as ours,
    ):
        serving = {"target": f"{installed.namespace}/tts", "state": "serving"}
        wait_for("both pods to be known", lambda: ours.metric("speech_autoscaler_replicas", **serving) == 2)
        before = lists(installed)
        between.partition()
        for pod in tts.pods():
            tts.remove(pod.metadata.name)
        tts.settle(2)
        cluster.plane.restart_and_forget()
        carry(pods, tts, BUSY)
        between.heal()
        wait_for("all to be listed", lambda: (lists(installed) - before).keys() == KINDS)
        wait_for("growth", lambda: tts.read().spec.replicas > 2)
        assert ours.leading()
        assert ours.metric("speech_autoscaler_replicas", **serving) == 2, "those that are gone do not count"
    assert set((lists(installed) - before).values()) == {1}
