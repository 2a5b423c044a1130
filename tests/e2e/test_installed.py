"""The manifests on a real API server: they apply, the rights suffice, writes are fenced."""

from functools import partial

import pytest
from kubernetes import client
from rig.account import ASKED_FOR, used
from rig.cluster import ROLE, keda_kinds
from rig.command import autoscaler
from rig.installed import granted, install, scale_writes, written_by
from rig.processes import wait_for
from rig.scene import BUSY, IDLE, carry, condition_of, events, policy, status_of

from autoscaler.cluster.actuator import ClusterActuator
from autoscaler.cluster.api import connect
from autoscaler.cluster.fleet import ClusterFleet
from autoscaler.model import Relabel, Scale

pytestmark = [pytest.mark.cluster, pytest.mark.prometheus]
prometheus_3 = pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"])


def test_as_installed_it_watches_and_writes_nothing_but_what_it_would_do(cluster, installed):
    """The shipped policy begins with `mode: observe`; nobody has set up a Prometheus, and that is said too."""
    [pod, _] = installed.pods()
    emotivoice = cluster.apps.read_namespaced_deployment("emotivoice", installed.namespace)
    with installed.controller(pod, installed.policies()) as ours:
        wait_for("it to lead", ours.leading)
        wait_for("it to be ready", lambda: ours.get("/readyz")[0] == 200)
        told = partial(condition_of, cluster, installed.namespace, "emotivoice", "MetricsAvailable")
        wait_for("it to say that it has no metrics", lambda: told()["status"] == "False")
    after = cluster.apps.read_namespaced_deployment("emotivoice", installed.namespace)
    assert after.spec == emotivoice.spec
    assert scale_writes(installed) == []


OF_COMPONENTS = {("", "nodes", "list"), ("", "nodes", "watch"), ("", "pods", "patch")}
GATED = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: spare}
spec:
  target: {kind: Deployment, name: spare}
  workload: {ref: tts}
  replicas: {min: 1, max: 10}
  standby: {mode: gated, min: 1, max: 1}
  policy: {type: fixed, replicas: 1}
  signals: {prometheus: {url: "%s"}}
"""
"""Of two pods one stands by."""


@prometheus_3
@pytest.mark.parametrize("components", [(), ("nodes", "gated")], ids=["as shipped", "with the rights of components"])
def test_every_right_is_used_and_none_is_missing(cluster, tmp_path, pods, prometheus, components):
    """Modes too: `observe` says what it would do, `assist` grows and does not shrink, `full` does both."""
    installed = install(cluster, tmp_path, *components)
    namespace = installed.namespace
    modes = {"tts": "full", "asr": "assist", "old": "observe"}
    targets = {name: cluster.deploy(namespace, name, 2) for name in modes}
    policies = installed.policies(**{name: policy(name, prometheus.url, mode) for name, mode in modes.items()})
    if components:
        spare = cluster.deploy(namespace, "spare", 2)
        carry(pods, spare, IDLE)
        installed.policies(spare=GATED % prometheus.url)
    for each in targets.values():
        carry(pods, each, BUSY)

    def sizes():
        return tuple(each.read().spec.replicas for each in targets.values())

    with keda_kinds(cluster), installed.controller(installed.pods()[0], policies):
        wait_for("growth", lambda: sizes() == (3, 3, 2))
        [said] = wait_for("what was left", lambda: events(cluster, namespace, "ScaleWithheld", "old")[:1])
        assert said.startswith("observe: would scale 2 → 3, ruled by ")
        for each in (targets["tts"], targets["asr"]):
            each.settle(3)
        for each in targets.values():
            carry(pods, each, IDLE / 2)
        wait_for("what may shrink to have shrunk: ceil(3 x 0.25 / 0.7)", lambda: sizes() == (2, 3, 2))
        wait_for("the other to say why not", lambda: status_of(cluster, namespace, "asr").get("ruledBy") == "mode")
        if components:
            wait_for("a pod to stand by", lambda: roles(spare) == ["serving", "standby"])
    path = installed.kubeconfig(installed.pods()[0])
    autoscaler("run", "--once", "--dry-run", "--policies", policies / "tts.yaml", "--kubeconfig", path)

    asked = list(installed.asked())
    refused = [event for event in asked if event["responseStatus"]["code"] == 403]
    allowed = used(event for event in asked if event not in refused)
    if components:
        assert allowed == granted(cluster, namespace, "speech-autoscaler-nodes") >= OF_COMPONENTS
        assert refused == []
    else:
        assert allowed == granted(cluster, namespace)
        assert used(refused) == ASKED_FOR
        assert len(refused) == 1
    assert {written_by(event) for event in installed.asked(verb="patch")} == {installed.pods()[0]}


def roles(deployment):
    return sorted(pod.metadata.labels[ROLE] for pod in deployment.pods())


def actuator(installed, pod, name="tts"):
    return ClusterActuator(connect(installed.kubeconfig(pod)), installed.namespace, name)


def hold(installed, pod):
    """Give the Lease to a pod."""
    leases = client.CoordinationV1Api(installed.cluster.api)
    if installed.lease() is None:
        leases.create_namespaced_lease(installed.namespace, {"metadata": {"name": "speech-autoscaler"}})
    body = {"spec": {"holderIdentity": pod}}
    leases.patch_namespaced_lease("speech-autoscaler", installed.namespace, body)


def scale_to(installed, replicas):
    fleet = ClusterFleet(installed.cluster.api, installed.namespace, "tts").read()
    return Scale(replicas, fleet.replicas, fleet.version, fleet.uid, fleet.revision)


def fenced(installed, pod):
    """Wait until the API server refuses a pod that does not hold the Lease: policies are in force within a second."""

    def refused():
        [outcome] = actuator(installed, pod).apply((scale_to(installed, 2),))
        return "only the holder of the Lease may write" in outcome.detail

    wait_for("the fence to be in force", refused)


def followed(deployment) -> bool:
    """Whether the Deployment's own controller has done what was asked for, and writes no more."""
    spec, status = deployment.spec, deployment.status
    return status.observed_generation == deployment.metadata.generation and status.replicas == spec.replicas


def test_the_write_of_an_old_leader_is_refused_by_the_api_server(cluster, installed):
    """Twenty hand-overs; each time the old leader, whose own check of the lease is left out here, tries to write."""
    tts = cluster.deploy(installed.namespace, "tts", 2)
    one, other = installed.pods()
    writers = {pod: actuator(installed, pod) for pod in (one, other)}
    hold(installed, one)
    fenced(installed, other)
    for turn in range(20):
        new, old = (one, other) if turn % 2 else (other, one)
        hold(installed, new)

        def new_writes(new=new, turn=turn):
            [outcome] = writers[new].apply((scale_to(installed, 3 + turn),))
            return outcome.done

        wait_for("the new leader's first write", new_writes, 2.0)
        wait_for("the write to have been followed", lambda: followed(tts.read()))  # or the old one's meets a conflict
        [late] = writers[old].apply((scale_to(installed, 1),))
        assert (late.done, tts.read().spec.replicas) == (False, 3 + turn)

    def stale(status):
        return sum(each.status == status for each in scale_writes(installed) if each.replicas == 1)

    wait_for("the last refusal in the audit log", lambda: stale(422) >= 20)
    assert (stale(422), stale(200)) == (20, 0)


@pytest.fixture
def gated(cluster, tmp_path):
    """Installed with the right to patch pods."""
    made = install(cluster, tmp_path)
    account = [{"kind": "ServiceAccount", "name": "speech-autoscaler"}]
    cluster.kubectl(
        "create", "role", "patches", "--verb=patch,delete", "--resource=pods,pods/status", "-n", made.namespace
    )
    binding = {"metadata": {"name": "patches"}, "subjects": account}
    binding["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "patches"}
    client.RbacAuthorizationV1Api(cluster.api).create_namespaced_role_binding(made.namespace, binding)
    return made


def test_a_pod_may_be_given_another_role_with_its_cost_and_nothing_else(cluster, gated):
    cluster.deploy(gated.namespace, "tts", 1)
    one, other = gated.pods()
    hold(gated, one)
    fenced(gated, other)
    pod = ClusterFleet(cluster.api, gated.namespace, "tts").read().pods[0]  # before the fence there may come another
    relabel = Relabel(pod.name, pod.uid, pod.version, "standby")
    [stale] = actuator(gated, other).apply((relabel,))
    assert "only the holder of the Lease may write" in stale.detail
    # The fence learns of a new holder by a watch of its own: until then it refuses everyone.
    wait_for("the holder to be let in", lambda: actuator(gated, one).apply((relabel,))[0].done)
    core = client.CoreV1Api(connect(gated.kubeconfig(one)))
    refused = {
        "another label": lambda: _metadata(core, gated, pod, labels={"app": "other"}),
        "a new label": lambda: _metadata(core, gated, pod, labels={"new": "x"}),
        "another role": lambda: _metadata(core, gated, pod, labels={"autoscaling.speech/role": "boss"}),
        "no role": lambda: _metadata(core, gated, pod, labels={"autoscaling.speech/role": None}),
        "an annotation": lambda: _metadata(core, gated, pod, annotations={"note": "x"}),
        "a finalizer": lambda: _metadata(core, gated, pod, finalizers=["a.example/x"]),
        "the image": lambda: core.patch_namespaced_pod(
            pod.name, gated.namespace, {"spec": {"containers": [{"name": "server", "image": "other"}]}}
        ),
        "the status": lambda: core.patch_namespaced_pod_status(pod.name, gated.namespace, {"status": {"message": "x"}}),
        "deletion": lambda: core.delete_namespaced_pod(pod.name, gated.namespace),
    }
    codes = {what: _status(patch) for what, patch in refused.items()}
    assert codes == dict.fromkeys(refused, 422)


def _metadata(core, gated, pod, **metadata):
    core.patch_namespaced_pod(pod.name, gated.namespace, {"metadata": metadata})


def _status(call):
    try:
        call()
    except client.ApiException as refused:
        return refused.status
    return 200
