"""Fleet and actuator against a real API server."""

import re
from pathlib import Path

import pytest
from rig.account import grant
from rig.processes import wait_for
from rig.web import Reply, website

from autoscaler.cluster.actuator import ClusterActuator
from autoscaler.cluster.api import connect, own_namespace
from autoscaler.cluster.fleet import ClusterFleet
from autoscaler.model import Cause, InvalidInput, Missing, Phase, Relabel, Scale

pytestmark = pytest.mark.cluster


@pytest.fixture
def api(kubeconfig):
    """Under the controller's account."""
    return connect(kubeconfig)


@pytest.fixture
def gated(cluster, namespace, tmp_path):
    """The same with the right to patch pods."""
    return connect(grant(cluster, namespace, "gated").kubeconfig(tmp_path / "gated"))


@pytest.fixture
def tts(cluster, namespace):
    return cluster.deploy(namespace, "tts", 2)


def fleet_of(api, deployment):
    return ClusterFleet(api, deployment.namespace, deployment.name).read()


def actuator(api, deployment, **options):
    return ClusterActuator(api, deployment.namespace, deployment.name, **options)


def scale(fleet, replicas):
    return Scale(replicas, fleet.replicas, fleet.version, fleet.uid, fleet.revision)


def test_the_fleet_of_a_deployment(api, tts):
    fleet = fleet_of(api, tts)
    assert (fleet.replicas, fleet.reported, fleet.rolling_out) == (2, 2, False)
    assert fleet.count(Phase.SERVING) == 2
    assert {pod.revision for pod in fleet.pods} == {fleet.revision}
    assert all(pod.loaded_at_s >= pod.ordered_at_s for pod in fleet.pods)


def test_a_pod_with_the_same_labels_and_another_owner_is_not_ours(cluster, api, tts):
    spec = {"containers": [{"name": "server", "image": "sleeper:1"}]}
    stray = {"metadata": {"name": "stray", "labels": {"app": "tts"}}, "spec": spec}
    cluster.core.create_namespaced_pod(tts.namespace, stray)
    assert len(fleet_of(api, tts).pods) == 2


def test_the_fleet_of_a_rollout(api, tts):
    tts.change_image("sleeper:2")
    wait_for("the surge pod", lambda: len(tts.pods()) == 3)
    fleet = wait_for("a rollout to be seen", lambda: seen if (seen := fleet_of(api, tts)).rolling_out else None)
    assert (fleet.replicas, fleet.count(Phase.SERVING), fleet.count(Phase.STARTING)) == (2, 2, 1)
    [new] = fleet.of(Phase.STARTING)
    assert new.revision == fleet.revision


def test_a_deployment_that_is_gone_is_absent(api, tts):
    missing = ClusterFleet(api, tts.namespace, "nobody").read()
    assert isinstance(missing, Missing)
    assert missing.cause is Cause.ABSENT
    assert "nobody" in missing.detail


def test_a_scale_is_written_and_nothing_else(cluster, api, tts):
    before = tts.read()
    [outcome] = actuator(api, tts).apply((scale(fleet_of(api, tts), 5),))
    after = tts.read()
    assert outcome.done
    assert after.spec.replicas == 5
    assert after.metadata.annotations == before.metadata.annotations
    assert after.spec.template == before.spec.template
    assert any(
        field.manager == "speech-autoscaler" and field.subresource == "scale" for field in after.metadata.managed_fields
    )


def test_a_forbidden_write_is_named_and_not_sent(cluster, account, api, tts):
    version = tts.read().metadata.resource_version
    [pod, _] = fleet_of(api, tts).pods
    outcomes = actuator(api, tts, forbidden=lambda: "dry run").apply(
        (scale(fleet_of(api, tts), 5), Relabel(pod.name, pod.uid, pod.version, "standby"))
    )
    assert [outcome.done for outcome in outcomes] == [False, False]
    assert [outcome.detail for outcome in outcomes] == [
        "dry run: would scale 2 → 5",
        f"dry run: would label {pod.name} standby",
    ]
    assert tts.read().metadata.resource_version == version
    assert {event["verb"] for event in cluster.requests(account.user)} == {"get", "list"}


def test_after_a_conflict_the_same_decision_is_sent_again_if_nothing_it_was_made_on_changed(api, tts):
    """A pod that becomes Ready raises the Deployment's version and changes nothing that was decided on."""
    tts.scale(3)
    tts.wait_for_pods(3)
    decided_on = fleet_of(api, tts)
    tts.settle(3)
    assert tts.read().metadata.resource_version != decided_on.version
    [outcome] = actuator(api, tts).apply((scale(decided_on, 6),))
    assert outcome.done
    assert tts.read().spec.replicas == 6


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda tts: tts.scale(4), id="somebody scaled"),
        pytest.param(lambda tts: tts.change_image("sleeper:2"), id="a rollout began"),
    ],
)
def test_after_a_conflict_a_decision_on_what_is_no_more_is_dropped(api, tts, change):
    decided_on = fleet_of(api, tts)
    change(tts)
    wait_for("the change to be seen", lambda: _key(fleet_of(api, tts)) != _key(decided_on))
    replicas = tts.read().spec.replicas
    [outcome] = actuator(api, tts).apply((scale(decided_on, 7),))
    assert not outcome.done
    assert "changed meanwhile" in outcome.detail
    assert tts.read().spec.replicas == replicas


def _key(fleet):
    return fleet.replicas, fleet.revision


def test_a_decision_on_a_deployment_that_was_recreated_is_dropped(cluster, api, tts):
    decided_on = fleet_of(api, tts)
    tts.delete()
    wait_for("it is gone", lambda: isinstance(fleet_of(api, tts), Missing))
    [gone] = actuator(api, tts).apply((scale(decided_on, 7),))
    assert not gone.done
    assert gone.detail.startswith("404")
    cluster.deploy(tts.namespace, "tts", 2)
    [recreated] = actuator(api, tts).apply((scale(decided_on, 7),))
    assert not recreated.done
    assert tts.read().spec.replicas == 2


@pytest.mark.parametrize(
    ("role", "cost", "phase"),
    [("standby", "0", Phase.STANDBY), ("draining", "-100", Phase.DRAINING), ("serving", "100", Phase.SERVING)],
)
def test_a_role_comes_with_its_deletion_cost(cluster, gated, tts, role, cost, phase):
    pod = fleet_of(gated, tts).pods[0]
    [outcome] = actuator(gated, tts).apply((Relabel(pod.name, pod.uid, pod.version, role),))
    assert outcome.done
    metadata = cluster.core.read_namespaced_pod(pod.name, tts.namespace).metadata
    assert metadata.labels["autoscaling.speech/role"] == role
    assert metadata.annotations["controller.kubernetes.io/pod-deletion-cost"] == cost
    assert {each.name: each.phase for each in fleet_of(gated, tts).pods}[pod.name] is phase


def test_a_pod_that_changed_since_keeps_its_role(cluster, gated, tts):
    pod = fleet_of(gated, tts).pods[0]
    tts.make_ready(pod.name, ready=False)
    [outcome] = actuator(gated, tts).apply((Relabel(pod.name, pod.uid, pod.version, "standby"),))
    assert not outcome.done
    assert outcome.detail.startswith("409")
    labels = cluster.core.read_namespaced_pod(pod.name, tts.namespace).metadata.labels
    assert labels["autoscaling.speech/role"] == "serving"


def config_for(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        f"{{apiVersion: v1, kind: Config, current-context: c, users: [{{name: u, user: {{}}}}], "
        f"clusters: [{{name: c, cluster: {{server: {url}}}}}], "
        f"contexts: [{{name: c, context: {{cluster: c, user: u, namespace: voice}}}}]}}"
    )
    return path


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        pytest.param(Reply(b"<html>", 200), "API server", id="a page instead of JSON"),
        pytest.param(Reply(b'{"message": "etcd is slow"}', 503), "etcd is slow", id="503"),
        pytest.param(Reply(b'{"message": "too many"}', 429), "too many", id="429"),
        pytest.param(Reply(b'{"message": "not yours"}', 403), "not yours", id="403"),
    ],
)
def test_an_api_server_that_cannot_be_read_is_unreachable(tmp_path, reply, says):
    with website(lambda _: reply) as site:
        missing = ClusterFleet(connect(config_for(tmp_path, site.url)), "voice", "tts").read()
        assert len(site.asked) == 1
    assert missing.cause is Cause.UNREACHABLE
    assert says in missing.detail


def test_an_api_server_that_is_down_is_unreachable_and_a_write_to_it_is_not_done(tmp_path):
    with website(lambda _: Reply()) as site:
        down = connect(config_for(tmp_path, site.url))
    assert ClusterFleet(down, "voice", "tts").read().cause is Cause.UNREACHABLE
    [outcome] = ClusterActuator(down, "voice", "tts").apply((Scale(3, 2, "1"),))
    assert not outcome.done
    assert re.search("refused", outcome.detail)


@pytest.mark.parametrize("text", [None, "{", "{}"], ids=["missing", "broken", "empty"])
def test_a_kubeconfig_that_cannot_be_used_is_bad_input(tmp_path, text):
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match=str(path)):
        connect(path)


def test_the_namespace_of_a_kubeconfig(tmp_path):
    assert own_namespace(config_for(tmp_path, "http://localhost")) == "voice"
