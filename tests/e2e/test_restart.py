"""A predictive target over restarts of the controller: its past from Prometheus, its memory from the ConfigMap."""

import json
import re
import time

import pytest
from rig import programs
from rig.controller import controller
from rig.exporter import steady
from rig.processes import wait_for
from rig.prometheus import backfill, prometheus_server

pytestmark = [pytest.mark.cluster, pytest.mark.prometheus, pytest.mark.slow]

HOURS = 8
POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: tts, namespace: %(namespace)s}
spec:
  target: {kind: Deployment, name: tts}
  workload: {ref: tts}
  replicas: {min: 1, max: 10}
  policy: {type: predictive, tick: 2s}
  signals: {prometheus: {url: "%(url)s"}}
"""


@pytest.fixture
def prometheus(tmp_path, namespace, pods):
    """It has seen eight hours of 10 requests/s."""
    end_s = time.time() // 60 * 60
    past = [(end_s - 60.0 * back, 600.0 * (HOURS * 60 - back)) for back in range(HOURS * 60, -1, -1)]
    series = f'speech_requests_received_total{{namespace="{namespace}",pod="tts-bcd-bcdfg",job="before"}}'
    folder = tmp_path / "prometheus"
    folder.mkdir()
    try:
        backfill("3", folder, {series: past})
        with prometheus_server("3", folder, scrape_s=1.0, together=pods.address) as server:
            yield server
    except programs.Absent as missing:
        pytest.skip(f"needs Prometheus 3: {missing}")


@pytest.fixture
def policies(tmp_path, cluster, namespace, prometheus, pods):
    tts = cluster.deploy(namespace, "tts", 3)
    for pod in tts.pods():
        pods.pods[namespace, pod.metadata.name] = steady(10.0 / 3, 0.6)
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "tts.yaml").write_text(POLICY % {"namespace": namespace, "url": prometheus.url})
    return folder


def sample(ours, name, **labels):
    """A value of the controller's own metrics; None where it has none yet."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    for line in ours.get("/metrics")[1].splitlines():
        if line.startswith(f"speech_autoscaler_{name}{{") and all(each in line for each in wanted):
            return float(re.split(r"\s+", line)[-1])
    return None


def data_of(cluster, namespace):
    return cluster.core.read_namespaced_config_map(f"autoscaler.{namespace}.tts", namespace).data


def test_a_restart_goes_on_with_what_was_kept_and_learns_the_past_again(
    tmp_path, cluster, namespace, kubeconfig, policies
):
    with controller(tmp_path, "pod-a", policies, kubeconfig) as first:
        wait_for("its past", lambda: sample(first, "history_seconds"), 90)
        assert sample(first, "history_seconds") == pytest.approx(HOURS * 3600, abs=120)
        wait_for("a decision", lambda: sample(first, "insight", figure="price"), 60)
        ended_s = time.monotonic()
        first.process.stop()
        assert time.monotonic() - ended_s < 5.0
    kept = json.loads(data_of(cluster, namespace)["memory.json"])
    assert kept["history_s"] + kept["steering"]["age_s"] > (HOURS - 1) * 3600

    with controller(tmp_path, "pod-b", policies, kubeconfig) as second:
        price = wait_for("a decision", lambda: sample(second, "insight", figure="price"), 60)
        assert price == pytest.approx(kept["steering"]["price"], rel=0.02)
        assert "goes on with what was kept" in [line["event"] for line in second.log()]
        wait_for("its past", lambda: sample(second, "history_seconds"), 90)
        assert sample(second, "kept_memory_refused_total") is None


def test_an_edit_of_the_file_goes_on_with_all_that_was_known(tmp_path, cluster, namespace, kubeconfig, policies):
    def told(event):
        return [line for line in ours.log() if line["event"].startswith(event)]

    file = policies / "tts.yaml"
    with controller(tmp_path, "pod-a", policies, kubeconfig) as ours:
        wait_for("its past", lambda: told("the past is learned"), 240)
        wait_for("a decision with a price", lambda: sample(ours, "insight", figure="price"), 60)
        before = ours.metric("speech_autoscaler_decisions_total")
        (policies / ".new").write_text(file.read_text().replace("{min: 1, max: 10}", "{min: 5, max: 10}"))
        (policies / ".new").rename(file)
        wait_for("the new bounds", lambda: sample(ours, "desired_replicas", kind="serving") == 5.0, 30)
        wait_for("more decisions", lambda: ours.metric("speech_autoscaler_decisions_total") > before + 2, 30)
        assert told("goes on with")[-1]["event"] == "goes on with all that was known"
        assert len(told("the past is learned")) == 1


def test_a_memory_that_somebody_broke_is_refused_and_the_target_begins(
    tmp_path, cluster, namespace, kubeconfig, policies
):
    labels = {"app.kubernetes.io/managed-by": "speech-autoscaler", "autoscaling.speech/kind": "status"}
    body = {
        "metadata": {"name": f"autoscaler.{namespace}.tts", "labels": labels},
        "data": {"memory.json": '{"version": 1, "price": -5}'},
    }
    cluster.core.create_namespaced_config_map(namespace, body)
    with controller(tmp_path, "pod-a", policies, kubeconfig) as ours:
        assert wait_for("it to be refused", lambda: sample(ours, "kept_memory_refused_total"), 60) == 1.0
        wait_for("a decision all the same", lambda: sample(ours, "desired_replicas", kind="serving"), 30)
        [said] = [line for line in ours.log() if line["event"].startswith("what was kept is refused")]
        assert said["level"] == "error"
