"""The controller as a process: it watches, leads, ticks, hands over and ends."""

import time
from functools import partial

import pytest
from kubernetes import client
from rig import programs
from rig.command import autoscaler
from rig.controller import controller
from rig.exporter import steady
from rig.processes import wait_for
from rig.scene import condition_of, status_of

from autoscaler.journal.log import read
from autoscaler.model import Observation

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s, namespace: %(namespace)s}
spec:
  target: {kind: Deployment, name: %(name)s}
  workload: {ref: tts}
  replicas: {min: 1, max: 10}
  policy:
    type: hpa
    metrics:
      - type: Pods
        pods: {metric: {name: busy}, target: {type: AverageValue, averageValue: 700m}}
    controller: {horizontal-pod-autoscaler-sync-period: 1s}
  signals:
    prometheus: {url: "%(url)s"}
    metrics: {busy: {signal: busy, window: 3s}}
"""


@pytest.fixture
def policies(tmp_path, namespace, prometheus):
    folder = tmp_path / "policies"
    folder.mkdir()
    for name in ("tts", "asr"):
        text = POLICY % {"name": name, "namespace": namespace, "url": prometheus.url}
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def services(cluster, namespace, pods, policies):
    """Two Deployments of two pods each, half idle."""
    made = [cluster.deploy(namespace, name, 2) for name in ("tts", "asr")]
    for each in made:
        carry(pods, each, 0.5)
    return made


def carry(pods, deployment, busy):
    """From now on each pod of a Deployment is busy for this share of the time."""
    for pod in deployment.pods():
        pods.pods[deployment.namespace, pod.metadata.name] = steady(4.0, busy)


def wants(namespace, replicas):
    return f'speech_autoscaler_desired_replicas{{kind="serving",target="{namespace}/tts"}} {replicas}.0'


def events(cluster, namespace, reason):
    """As `kubectl describe` reads them."""
    found = cluster.core.list_namespaced_event(namespace).items
    return [each for each in found if each.reporting_component == "speech-autoscaler" and each.reason == reason]


def ruling(status):
    return status.get("paused"), status.get("ruledBy")


def holder(cluster, namespace):
    try:
        lease = client.CoordinationV1Api(cluster.api).read_namespaced_lease("speech-autoscaler", namespace)
    except client.ApiException:
        return None
    return lease.spec.holder_identity


def test_two_targets_are_sized_by_one_process_that_ends_in_time(
    tmp_path, cluster, namespace, kubeconfig, policies, pods, services
):
    tts, asr = services
    log = tmp_path / "decisions.jsonl"
    with controller(tmp_path, "pod-a", policies, kubeconfig, "--journal", log) as ours:
        wait_for("it to lead", ours.leading)
        carry(pods, tts, 0.875)
        wait_for("tts to grow: ceil(2 x 0.875 / 0.7)", lambda: tts.read().spec.replicas == 3)
        assert asr.read().spec.replicas == 2
        told = wait_for("an Event of it", lambda: events(cluster, namespace, "Scaled"))
        assert [(each.involved_object.name, each.message.partition(",")[0]) for each in told] == [
            ("tts", "2 → 3 replicas")
        ]
        assert ours.get("/healthz") == (200, "ok\n")
        wait_for("it to be ready", lambda: ours.get("/readyz") == (200, "ok\n"))
        assert ours.get("/elsewhere")[0] == 404
        assert (
            f'speech_autoscaler_desired_replicas{{kind="serving",target="{namespace}/tts"}} 3.0'
            in ours.get("/metrics")[1]
        )
        ended_s = time.monotonic()
        ours.process.stop()
        assert time.monotonic() - ended_s < 5.0
        assert ours.process.popen.returncode == 0
    assert holder(cluster, namespace) in ("", None)
    ticks = list(read(log))
    assert {tick.target for tick in ticks} == {f"{namespace}/tts", f"{namespace}/asr"}
    assert sum(outcome.done for tick in ticks for outcome in tick.outcomes) == 1
    # A first tick may come before the cluster has been listed: it says so and decides nothing.
    decided = [tick for tick in ticks if "not listed yet" not in str(tick.seen)]
    assert all(isinstance(tick.seen, Observation) and tick.decision.steps for tick in decided)


def test_a_dry_run_takes_no_lease_and_writes_nothing(
    tmp_path, cluster, namespace, kubeconfig, policies, pods, services
):
    tts, _ = services
    with controller(tmp_path, "pod-a", policies, kubeconfig, "--dry-run") as ours:
        carry(pods, tts, 0.875)
        wait_for("it to want 3", lambda: wants(namespace, 3) in ours.get("/metrics")[1])
    assert tts.read().spec.replicas == 2
    assert holder(cluster, namespace) is None
    assert events(cluster, namespace, "Scaled") == []


def test_a_paused_target_stays_as_it_is_until_it_is_resumed(
    tmp_path, cluster, namespace, kubeconfig, operators_kubeconfig, policies, pods, services
):
    tts, asr = services
    assert autoscaler("pause", "tts", "--kubeconfig", operators_kubeconfig).out == f"{namespace}/tts paused\n"
    with controller(tmp_path, "pod-a", policies, kubeconfig) as ours:
        carry(pods, tts, 0.875)
        carry(pods, asr, 0.875)
        wait_for("asr to grow", lambda: asr.read().spec.replicas == 3)
        # A first status may be of a tick that saw no load yet: it is the policy that asks for 2 then.
        wait_for("the pause to rule", lambda: ruling(status_of(cluster, namespace, "tts")) == (True, "pause"))
        assert tts.read().spec.replicas == 2
        autoscaler("resume", "tts", "--kubeconfig", operators_kubeconfig)
        wait_for("tts to grow", lambda: tts.read().spec.replicas == 3)
        wait_for("the new status", lambda: status_of(cluster, namespace, "tts").get("serving") == 3)
        assert ours.get("/readyz")[0] == 200


PAIRS = (("also.yaml", "tts.yaml"), ("tts.yaml", "also.yaml"))


def hpa_on(cluster, namespace, name):
    """An HPA `old` on a Deployment; nobody acts on it."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    hpa = {"metadata": {"name": "old"}, "spec": {"maxReplicas": 3, "scaleTargetRef": reference}}
    scaling = client.AutoscalingV2Api(cluster.api)
    scaling.create_namespaced_horizontal_pod_autoscaler(namespace, hpa)
    return scaling


def able(cluster, namespace, name):
    conditions = status_of(cluster, namespace, name).get("conditions", [])
    return [(each["reason"], each["message"]) for each in conditions if each["type"] == "AbleToScale"]


def test_an_hpa_that_holds_the_size_we_want_is_named_though_there_is_nothing_to_write(
    tmp_path, cluster, namespace, kubeconfig, policies, pods, services
):
    tts, _ = services
    scaling = hpa_on(cluster, namespace, "tts")
    named = "HorizontalPodAutoscaler old sizes it too"
    with controller(tmp_path, "pod-a", policies, kubeconfig) as ours:
        [told] = wait_for("an Event of it", lambda: events(cluster, namespace, "SizedByAnother"))
        assert (told.involved_object.name, told.message) == ("tts", f"nothing is written meanwhile: {named}")
        wait_for("the condition", lambda: able(cluster, namespace, "tts") == [("SizedByAnother", named)])
        before = ours.metric("speech_autoscaler_decisions_total", target=f"{namespace}/tts")
        wait_for("more decisions", lambda: ours.metric("speech_autoscaler_decisions_total") > before + 5)
        assert ours.metric("speech_autoscaler_writes_total", target=f"{namespace}/tts") == 0
        scaling.delete_namespaced_horizontal_pod_autoscaler("old", namespace)
        wait_for("the condition to be gone", lambda: able(cluster, namespace, "tts") == [("Written", "")])
        wait_for("it to be said", lambda: events(cluster, namespace, "SizedAlone"))
        assert len(events(cluster, namespace, "SizedByAnother")) == 1
        assert (tts.read().spec.replicas, events(cluster, namespace, "ScaleWithheld")) == (2, [])


def test_beside_an_hpa_on_the_same_target_nothing_is_written(
    tmp_path, cluster, namespace, kubeconfig, policies, pods, services
):
    tts, _ = services
    scaling = hpa_on(cluster, namespace, "tts")
    with controller(tmp_path, "pod-a", policies, kubeconfig):
        carry(pods, tts, 0.875)
        [told] = wait_for("an Event of it", lambda: events(cluster, namespace, "ScaleWithheld")[:1])
        assert "HorizontalPodAutoscaler old sizes it too: would scale 2 → 3" in told.message
        assert tts.read().spec.replicas == 2
        scaling.delete_namespaced_horizontal_pod_autoscaler("old", namespace)
        wait_for("tts to grow", lambda: tts.read().spec.replicas == 3)


def test_a_target_that_two_files_name_at_the_start_is_said_and_sized_by_the_one_that_stays(
    tmp_path, cluster, namespace, kubeconfig, policies, pods, services
):
    tts, asr = services
    (policies / "also.yaml").write_text((policies / "tts.yaml").read_text())
    with controller(tmp_path, "pod-a", policies, kubeconfig) as ours:
        carry(pods, tts, 0.875)
        carry(pods, asr, 0.875)
        wait_for("asr to grow", lambda: asr.read().spec.replicas == 3)
        [told] = wait_for("an Event of it", lambda: events(cluster, namespace, "Unsized"))
        both = [f"{policies}/{a}: {namespace}/tts is sized by {policies}/{b} too; in force: neither" for a, b in PAIRS]
        assert (told.involved_object.name, told.message) == ("tts", "; ".join(both))
        wait_for("the condition", lambda: able(cluster, namespace, "tts") == [("Unsized", "; ".join(both))])
        assert tts.read().spec.replicas == 2
        (policies / "also.yaml").unlink()
        wait_for("tts to grow", lambda: tts.read().spec.replicas == 3)
        wait_for("it to be said", lambda: events(cluster, namespace, "SizedAgain"))
        wait_for("the condition", lambda: able(cluster, namespace, "tts") == [("Written", "")])
        assert ours.get("/readyz") == (200, "ok\n")


def test_a_controller_that_finds_nothing_but_two_files_for_one_target_says_so_too(
    tmp_path, cluster, namespace, kubeconfig, policies, services
):
    (policies / "asr.yaml").write_text((policies / "tts.yaml").read_text())
    with controller(tmp_path, "pod-a", policies, kubeconfig):
        wait_for("an Event of it", lambda: events(cluster, namespace, "Unsized"))


BREAKS = """\
from pathlib import Path
from autoscaler.service import runner

tick = runner.tick


def breaks(target, *arguments, **options):
    if target.name.partition("/")[2] in Path({broken!r}).read_text():
        raise KeyError("an error of ours")
    return tick(target, *arguments, **options)


runner.tick = breaks
"""


def test_a_target_whose_ticks_fail_is_said_and_a_process_in_which_all_fail_is_unhealthy(
    tmp_path, cluster, namespace, kubeconfig, policies, pods, services
):
    """An error of ours is put into the process before it begins; the rest of it is as ever."""
    _, asr = services
    broken = tmp_path / "broken"
    broken.write_text("tts")
    (tmp_path / "sitecustomize.py").write_text(BREAKS.format(broken=str(broken)))
    paths = {"PYTHONPATH": f"{tmp_path}:{programs.REPOSITORY}"}
    why = "its ticks end in errors of the controller's own (KeyError), its log says where"
    with controller(tmp_path, "pod-a", policies, kubeconfig, environment=paths) as ours:
        carry(pods, asr, 0.875)
        [told] = wait_for("an Event of it", lambda: events(cluster, namespace, "Unsized"))
        assert (told.involved_object.name, told.message) == ("tts", why)
        wait_for("the condition", lambda: able(cluster, namespace, "tts") == [("Unsized", why)])
        wait_for("asr to grow", lambda: asr.read().spec.replicas == 3)
        assert ours.get("/healthz") == (200, "ok\n")
        broken.write_text("tts and asr")
        wait_for("it to be unhealthy", lambda: ours.get("/healthz")[0] == 503)
        assert why in ours.get("/healthz")[1]
        broken.write_text("")
        wait_for("it to be well", lambda: ours.get("/healthz")[0] == 200)
        wait_for("the condition", lambda: able(cluster, namespace, "tts") == [("Written", "")])
        wait_for("it to be said", lambda: len(events(cluster, namespace, "SizedAgain")) == 2)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        pytest.param(["--listen", "8080x"], "--listen 8080x", id="no port"),
        pytest.param(["--lease", "15"], "--lease 15", id="no timing"),
        pytest.param(["--lease", "5/10/2"], "must hold", id="a timing that is not safe"),
    ],
)
def test_flags_that_cannot_be_used(kubeconfig, policies, flags, says):
    ended = autoscaler("run", "--policies", policies, "--kubeconfig", kubeconfig, *flags)
    assert ended.code == 2
    assert says in ended.err


def test_a_changed_policy_is_taken_up_and_a_broken_one_leaves_the_last_good_one(
    tmp_path, cluster, namespace, kubeconfig, policies, pods, services
):
    tts, _ = services
    file = policies / "tts.yaml"
    good = file.read_text()

    def swapped(text):
        """As an editor and a ConfigMap do it: whole or not at all."""
        new = policies / ".new"
        new.write_text(text)
        new.rename(file)

    with controller(tmp_path, "pod-a", policies, kubeconfig) as ours:
        wait_for("a decision", lambda: wants(namespace, 2) in ours.get("/metrics")[1])
        swapped(good.replace("min: 1", "min: 4"))
        wait_for("tts to grow", lambda: tts.read().spec.replicas == 4)
        tts.settle(4)
        carry(pods, tts, 0.5)
        swapped(good.replace("min: 1", "min: one"))
        refused = "speech_autoscaler_policy_files_refused 1.0"
        wait_for("the refusal", lambda: refused in ours.get("/metrics")[1])
        [told] = wait_for("an Event of it", lambda: events(cluster, namespace, "PolicyRefused"))
        assert "tts.yaml:7" in told.message
        assert "min" in told.message

        valid = partial(condition_of, cluster, namespace, "tts", "PolicyValid")
        wait_for("the condition", lambda: valid()["status"] == "False")
        assert tts.read().spec.replicas == 4
        assert ours.get("/readyz") == (200, "ok\n")
        swapped(good)
        wait_for("it to be in force again", lambda: events(cluster, namespace, "PolicyAccepted"))
        wait_for("the condition", lambda: valid()["status"] == "True")
