"""What an operator sees and does from a shell: status, explain, release."""

import json

import pytest
from rig.command import autoscaler
from rig.controller import controller
from rig.processes import wait_for
from rig.scene import IDLE, carry, policy, status_of

pytestmark = pytest.mark.cluster

ROLE = "autoscaling.speech/role"


@pytest.fixture
def tts(cluster, namespace, pods):
    made = cluster.deploy(namespace, "tts", 2)
    carry(pods, made, IDLE)
    return made


@pytest.mark.prometheus
@pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"])
def test_status_and_explain_show_what_the_controller_made_of_its_targets(
    tmp_path, cluster, namespace, kubeconfig, operators_kubeconfig, prometheus, tts
):
    asked = autoscaler("status", "--kubeconfig", operators_kubeconfig)
    assert (asked.code, "no targets yet" in asked.out) == (0, True)
    file = tmp_path / "tts.yaml"
    file.write_text(policy("tts", prometheus.url, mode="observe"))
    with controller(tmp_path, "pod-a", file, kubeconfig):
        wait_for("a decision on data", lambda: status_of(cluster, namespace, "tts").get("ruledBy") == "hpa metric")
        table = autoscaler("status", "--kubeconfig", operators_kubeconfig).out
        assert "leader: pod-a" in table
        assert all(word in table for word in (f"{namespace}/tts", "hpa (observe)", "hpa metric"))
        said = json.loads(autoscaler("status", "--json", "--kubeconfig", operators_kubeconfig).out)
        assert said["leader"] == "pod-a"
        assert [(each["target"], each["replicas"], each["paused"]) for each in said["targets"]] == [
            (f"{namespace}/tts", 2, False)
        ]
    words = autoscaler("explain", "tts", "--kubeconfig", operators_kubeconfig).out
    assert words.startswith(f"{namespace}/tts at ")
    assert "pods: 2 serving; 2 asked for" in words
    assert json.loads(autoscaler("explain", "tts", "--json", "--kubeconfig", operators_kubeconfig).out)["serving"] == 2
    unknown = autoscaler("explain", "asr", "--kubeconfig", operators_kubeconfig)
    assert (unknown.code, f"known: {namespace}/tts" in unknown.err) == (2, True)


def test_release_lets_every_pod_serve_and_pauses_the_target(cluster, namespace, operators_kubeconfig, tts):
    for pod, role in zip(tts.pods(), ("standby", "draining"), strict=True):
        cluster.core.patch_namespaced_pod(pod.metadata.name, namespace, {"metadata": {"labels": {ROLE: role}}})
    ended = autoscaler("release", "tts", "--kubeconfig", operators_kubeconfig)
    assert (ended.code, ended.out) == (0, f"{namespace}/tts released: paused at 2 pods, 2 of 2 set aside serve again\n")
    assert {pod.metadata.labels[ROLE] for pod in tts.pods()} == {"serving"}
    data = cluster.core.read_namespaced_config_map(f"autoscaler.{namespace}.tts", namespace).data
    assert data["paused"] == "true"
    again = autoscaler("release", "--all", "--kubeconfig", operators_kubeconfig)
    assert (again.code, "0 of 0 set aside" in again.out) == (0, True)


@pytest.mark.parametrize("flags", [[], ["tts", "--all"]], ids=["nobody named", "both"])
def test_release_needs_to_know_whom(operators_kubeconfig, flags):
    ended = autoscaler("release", *flags, "--kubeconfig", operators_kubeconfig)
    assert (ended.code, "name targets, or give --all" in ended.err) == (2, True)
