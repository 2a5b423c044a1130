"""The thin slice through the real world: a real Prometheus, a real API server, one tick of the loop."""

import itertools
import math
import time

import pytest
from kubernetes import client
from rig import programs
from rig.account import Account
from rig.cluster import keda_kinds
from rig.command import autoscaler
from rig.controller import controller
from rig.exporter import steady
from rig.processes import wait_for
from rig.prometheus import prometheus_server
from rig.web import Reply, website

from autoscaler.cluster.api import manager_of
from autoscaler.cluster.objects import deployment_view
from autoscaler.journal.log import decode
from autoscaler.model import Phase

pytestmark = [pytest.mark.cluster, pytest.mark.prometheus]

FIXED = "{type: fixed, replicas: %d}"
HPA = """\
    type: hpa
    metrics:
      - type: Pods
        pods: {metric: {name: busy}, target: {type: AverageValue, averageValue: 700m}}
"""
POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: tts, namespace: %(namespace)s}
spec:
  target: {kind: Deployment, name: tts}
  workload: {ref: tts}
  replicas: {min: 1, max: 10}
  mode: %(mode)s
  policy: %(rule)s
  signals:
    prometheus: {url: "%(url)s"}
    metrics: {busy: {signal: busy, window: 4s}}
"""


@pytest.fixture
def tts(cluster, namespace):
    return cluster.deploy(namespace, "tts", 2)


@pytest.fixture
def policy(tmp_path, namespace):
    def write(rule, url, mode="full"):
        path = tmp_path / "policy.yaml"
        path.write_text(POLICY % {"namespace": namespace, "rule": rule, "url": url, "mode": mode})
        return path

    return write


def export(pods, prometheus, tts, metrics, scrapes=3):
    """Let every pod of the Deployment export metrics, and wait until they have been scraped so often."""
    names = [pod.metadata.name for pod in tts.pods()]
    for name in names:
        pods.pods[tts.namespace, name] = metrics()
    wait_for_scrapes(prometheus, tts, scrapes, len(names))


def wait_for_scrapes(prometheus, tts, scrapes, count):
    counted = f'count_over_time(speech_requests_received_total{{namespace="{tts.namespace}"}}[1m]) >= {scrapes}'
    wait_for("the scrapes", lambda: len(prometheus.query(counted)) == count)


@pytest.fixture
def run(kubeconfig):
    """One tick by hand, under the controller's account."""

    def once(policy, *flags):
        return autoscaler("run", "--once", "--json", "--policies", policy, "--kubeconfig", kubeconfig, *flags)

    return once


def the_tick(ended):
    [line] = ended.out.splitlines()
    return decode(line.encode())


def test_fixed_is_read_decided_and_written(pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    ended = run(policy(FIXED % 4, prometheus.url))
    assert ended.code == 0
    tick = the_tick(ended)
    assert tick.seen.fleet.count(Phase.SERVING) == 2
    assert tick.seen.signals.problems == ()
    assert tick.outcomes[0].done
    assert tts.read().spec.replicas == 4


@pytest.fixture(params=["2", "3"])
def separate(request, tmp_path):
    """A Prometheus that scrapes each pod at a moment of its own."""
    try:
        with prometheus_server(request.param, tmp_path, scrape_s=0.5) as server:
            yield server
    except programs.Absent as missing:
        pytest.skip(f"needs Prometheus {request.param}: {missing}")


def rate_rps(a, b):
    return (b.received - a.received) / (b.at_s - a.at_s)


def test_hpa_sizes_for_what_the_pods_carry(pods, separate, tts, policy, run):
    """Two pods busy for 0.875 of the time, 0.7 wanted: ceil(2 x 0.875 / 0.7) = 3."""
    for pod in tts.pods():
        pods.pods[tts.namespace, pod.metadata.name] = steady(5.0, busy=0.875)
    separate.scrape(pods.targets(tts.namespace))
    wait_for_scrapes(separate, tts, 10, 2)
    ended = run(policy("\n" + HPA, separate.url))
    assert ended.code == 0
    scrapes = the_tick(ended).seen.signals.scrapes
    rates = [rate_rps(a, b) for a, b in itertools.pairwise(scrapes)]
    assert rates == pytest.approx([10.0] * len(rates), rel=0.25)  # one scrape of 0.5 s may be late, and the next is not
    assert rate_rps(scrapes[0], scrapes[-1]) == pytest.approx(10.0, rel=0.05)
    assert tts.read().spec.replicas == 3


def test_words_say_what_was_seen_decided_and_why(kubeconfig, pods, prometheus, tts, policy):
    export(pods, prometheus, tts, lambda: steady(4.0))
    path = policy(FIXED % 4, prometheus.url)
    ended = autoscaler("run", "--once", "--policies", path, "--kubeconfig", kubeconfig)
    assert f"{tts.namespace}/tts" in ended.out
    assert "2 serving; 2 asked for" in ended.out
    assert "replicas 2 -> 4" in ended.out


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(cluster, account, pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    version = tts.read().metadata.resource_version
    ended = run(policy(FIXED % 4, prometheus.url), "--dry-run")
    assert ended.code == 0
    assert the_tick(ended).outcomes[0].detail == "dry run: would scale 2 → 4"
    assert tts.read().metadata.resource_version == version
    assert {event["verb"] for event in cluster.requests(account.user)} == {"get", "list"}


def test_observe_decides_and_says_what_it_leaves(pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    version = tts.read().metadata.resource_version
    ended = run(policy(FIXED % 4, prometheus.url, "observe"))
    assert ended.code == 0
    tick = the_tick(ended)
    assert tick.decision.serving == 4
    assert [(each.detail, each.withheld) for each in tick.outcomes] == [("observe: would scale 2 → 4", True)]
    assert tts.read().metadata.resource_version == version


def test_assist_grows_and_never_shrinks(pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    ended = run(policy(FIXED % 1, prometheus.url, "assist"))
    assert (ended.code, the_tick(ended).decision.ruled_by, tts.read().spec.replicas) == (0, "mode", 2)
    assert run(policy(FIXED % 3, prometheus.url, "assist")).code == 0
    assert tts.read().spec.replicas == 3


def test_fresh_data_lets_a_target_shrink(pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    assert run(policy(FIXED % 1, prometheus.url)).code == 0
    assert tts.read().spec.replicas == 1


def pods_of(pods, tts):
    return [key for key in pods.pods if key[0] == tts.namespace]


def nan():
    return lambda: {"speech_requests_received_total": math.nan}


def held(tts, ended, says):
    """Nothing shrank, and the reason says what was missing."""
    tick = the_tick(ended)
    assert tick.decision.ruled_by == "data"
    assert tick.outcomes == ()
    assert tts.read().spec.replicas == 2
    assert says in " ".join(step.reason for step in tick.decision.steps)


@pytest.fixture
def down():
    with website(lambda _: Reply()) as site:
        pass
    return site.url


def test_a_prometheus_that_is_down_holds(down, tts, policy, run):
    ended = run(policy(FIXED % 1, down))
    assert ended.code == 3
    held(tts, ended, "unreachable: prometheus at")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(
            lambda: Reply(b"<html>log in</html>", headers={"Content-Type": "text/html"}),
            "HTTP 200 with text/html instead of JSON",
            id="a login page",
        ),
        pytest.param(
            lambda: Reply(time.sleep(0.1) or b" " for _ in itertools.count()), "did not end in time", id="never ends"
        ),
    ],
)
def test_a_prometheus_that_answers_nonsense_holds(tts, policy, run, answer, says):
    with website(lambda _: answer()) as site:
        ended = run(policy(FIXED % 1, site.url))
    assert ended.code == 3
    held(tts, ended, says)


def test_values_that_are_no_numbers_hold(pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, nan)
    ended = run(policy(FIXED % 1, prometheus.url))
    assert ended.code == 0
    held(tts, ended, "implausible: speech_requests_received_total is nan")


def test_no_series_holds(prometheus, tts, policy, run):
    ended = run(policy(FIXED % 1, prometheus.url))
    assert ended.code == 0
    held(tts, ended, "absent: no series of speech_requests_received_total")


def test_samples_that_are_old_hold(pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    for key in pods_of(pods, tts):
        del pods.pods[key]
    fresh = f'speech_requests_received_total{{namespace="{tts.namespace}"}}[2s]'
    wait_for("the samples to be old", lambda: prometheus.query(fresh) == [])
    ended = run(policy(FIXED % 1, prometheus.url))
    assert ended.code == 0
    held(tts, ended, "stale: ")


def test_a_pod_that_is_silent_while_the_others_speak_holds(pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    silent = tts.pods()[0].metadata.name
    del pods.pods[tts.namespace, silent]
    gone = f'speech_requests_received_total{{pod="{silent}"}}[2s]'
    wait_for("its samples to be old", lambda: prometheus.query(gone) == [])
    ended = run(policy(FIXED % 1, prometheus.url))
    held(tts, ended, "1 of 2 serving pods gave no speech_requests_received_total for 1.")
    assert silent in ended.out


def test_growth_needs_no_data(down, tts, policy, run):
    assert run(policy(FIXED % 3, down)).code == 3
    assert tts.read().spec.replicas == 3


def test_a_target_that_is_missing_is_said(down, kubeconfig, policy):
    path = policy(FIXED % 1, down)
    ended = autoscaler("run", "--once", "--policies", path, "--kubeconfig", kubeconfig)
    assert ended.code == 1
    assert "the fleet could not be read: absent: API server" in ended.out


def config_for(folder, url):
    path = folder / "elsewhere"
    path.write_text(
        f"{{apiVersion: v1, kind: Config, current-context: c, users: [{{name: u, user: {{}}}}], "
        f"clusters: [{{name: c, cluster: {{server: {url}}}}}], "
        f"contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
    )
    return path


def test_an_api_server_that_is_down_is_unreachable(tmp_path, down):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY % {"namespace": "voice", "rule": FIXED % 1, "url": down, "mode": "full"})
    ended = autoscaler("run", "--once", "--policies", path, "--kubeconfig", config_for(tmp_path, down))
    assert ended.code == 3
    assert "unreachable: API server" in ended.out


NO_TARGET = POLICY.replace("  target: {kind: Deployment, name: tts}\n", "")
UNKNOWN_METRIC = POLICY.replace("%(rule)s", "\n" + HPA.replace("%", "%%")).replace(
    "signal: busy, window: 4s", "query: vector(1)"
)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({}, "no policy", id="an empty folder"),
        pytest.param({"a.yaml": NO_TARGET}, "needed to run", id="no target"),
        pytest.param({"a.yaml": UNKNOWN_METRIC}, "not run", id="a metric that cannot be read"),
        pytest.param({"a.yaml": POLICY, "b.yaml": POLICY}, "one policy for a target", id="two policies for one target"),
    ],
)
def test_policies_that_cannot_be_run_are_bad_input(tmp_path, files, says):
    folder = tmp_path / "policies"
    folder.mkdir()
    for name, text in files.items():
        filled = {"namespace": "voice", "rule": FIXED % 1, "url": "http://prometheus:9090", "mode": "full"}
        (folder / name).write_text(text % filled)
    ended = autoscaler(
        "run", "--once", "--policies", folder, "--kubeconfig", config_for(tmp_path, "http://127.0.0.1:1")
    )
    assert ended.code == 2
    assert says in ended.err


def test_beside_a_leader_nothing_is_written_and_it_is_named(kubeconfig, pods, prometheus, tts, policy, run, tmp_path):
    """The controller and the command share the namespace of the kubeconfig, and so the Lease."""
    export(pods, prometheus, tts, lambda: steady(4.0))
    other = tmp_path / "other"
    other.mkdir()
    (other / "policy.yaml").write_text(policy(FIXED % 2, prometheus.url).read_text())
    with controller(tmp_path, "pod-a", other, kubeconfig) as ours:
        wait_for("it to lead", ours.leading)
        ended = run(policy(FIXED % 4, prometheus.url))
    assert ended.code == 1
    assert "nothing is written: pod-a leads and renews its Lease" in ended.err
    [outcome] = the_tick(ended).outcomes
    why = "pod-a leads and renews its Lease: would scale 2 → 4"
    assert (outcome.done, outcome.withheld, outcome.detail) == (False, True, why)
    assert tts.read().spec.replicas == 2


def test_a_paused_target_is_left_as_it_is(operators_kubeconfig, pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    assert autoscaler("pause", "tts", "--kubeconfig", operators_kubeconfig).code == 0
    tick = the_tick(run(policy(FIXED % 4, prometheus.url)))
    assert (tick.seen.paused, tick.decision.ruled_by, tick.outcomes) == (True, "pause", ())
    assert tts.read().spec.replicas == 2
    assert autoscaler("resume", "tts", "--kubeconfig", operators_kubeconfig).code == 0
    assert run(policy(FIXED % 4, prometheus.url)).code == 0
    assert tts.read().spec.replicas == 4


def hpa(tts, name):
    """An HPA on the Deployment; nobody acts on it."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tts"}
    body = {"metadata": {"name": name}, "spec": {"maxReplicas": 3, "scaleTargetRef": reference}}
    client.AutoscalingV2Api(tts.cluster.api).create_namespaced_horizontal_pod_autoscaler(tts.namespace, body)


def scaled_object(tts, name):
    body = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name}}
    spec = {"scaleTargetRef": {"name": "tts"}, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}
    where = ("keda.sh", "v1alpha1", tts.namespace, "scaledobjects")
    client.CustomObjectsApi(tts.cluster.api).create_namespaced_custom_object(*where, body | {"spec": spec})


def test_beside_another_autoscaler_nothing_is_written_and_it_is_named(pods, prometheus, tts, policy, run):
    """Of KEDA's two objects the one that a person wrote."""
    export(pods, prometheus, tts, lambda: steady(4.0))
    hpa(tts, "keda-hpa-old")
    [outcome] = the_tick(run(policy(FIXED % 4, prometheus.url))).outcomes
    why = "HorizontalPodAutoscaler keda-hpa-old sizes it too: would scale 2 → 4"
    assert (outcome.withheld, outcome.detail) == (True, why)
    with keda_kinds(tts.cluster):
        scaled_object(tts, "old")
        [outcome] = the_tick(run(policy(FIXED % 4, prometheus.url))).outcomes
    assert (outcome.withheld, outcome.detail) == (True, "ScaledObject old sizes it too: would scale 2 → 4")
    assert tts.read().spec.replicas == 2


def test_the_size_is_written_as_the_controller_of_the_namespace(pods, prometheus, tts, policy, run):
    """To the controller itself the write of another manager is a stranger's: three of them hold the target."""
    export(pods, prometheus, tts, lambda: steady(4.0))
    assert run(policy(FIXED % 4, prometheus.url)).code == 0
    written = deployment_view(tts.cluster.api.sanitize_for_serialization(tts.read())).sized
    assert written[1] == manager_of(tts.namespace)


def test_where_it_may_not_be_asked_who_else_sizes_a_target_nothing_is_decided(
    tmp_path, cluster, pods, prometheus, tts, policy
):
    export(pods, prometheus, tts, lambda: steady(4.0))
    person = Account(cluster, tts.namespace, "person")
    cluster.kubectl("create", "serviceaccount", "person", "-n", tts.namespace)
    may = ("--verb=get,list", "--resource=configmaps,pods,deployments.apps,replicasets.apps")
    cluster.kubectl("create", "role", "person", *may, "-n", tts.namespace)
    person.bind("role=person", tts.namespace)
    wait_for("the rights", lambda: person.may("list", "", "configmaps"))
    flags = ("--kubeconfig", person.kubeconfig(tmp_path / "person"), "--dry-run")
    ended = autoscaler("run", "--once", "--policies", policy(FIXED % 4, prometheus.url), *flags)
    assert ended.code == 3
    assert "unreachable: API server: horizontalpodautoscalers.autoscaling is forbidden" in ended.out


def test_the_lease_is_given_back(pods, prometheus, tts, policy, run):
    export(pods, prometheus, tts, lambda: steady(4.0))
    began_s = time.monotonic()
    for size in (3, 2):
        assert run(policy(FIXED % size, prometheus.url)).code == 0
        assert tts.read().spec.replicas == size
    assert time.monotonic() - began_s < 15.0
