"""How pods load is asked for once a pod, beside the ticks; what is not known says why."""

from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from autoscaler.cluster.starts import Kind as PodKind
from autoscaler.cluster.starts import StartingPod, Typical
from autoscaler.model import Cause, Missing, Phase, Pod, Tick, Unreachable
from autoscaler.prometheus.client import Answer, Series
from autoscaler.prometheus.loading import METRIC
from autoscaler.service.loading import AGAIN_S, SETTLED_S, Loading
from autoscaler.service.recorder import Metrics
from autoscaler.service.starts import StartTimes
from autoscaler.service.wiring import load_job

NOW_S = 10_000.0
POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s, namespace: voice}
spec:
  target: {kind: Deployment, name: %(name)s}
  workload: {ref: tts}
  replicas: {min: 1, max: 10}
  policy: {type: fixed, replicas: 2}
  signals: {prometheus: {url: "%(url)s", preset: %(preset)s}}
"""


@dataclass
class Prometheus:
    """Answers each question with the same series; counts them by server."""

    series: list = field(default_factory=list)
    fault: Exception | None = None
    asked: list = field(default_factory=list)

    def connect(self, access):
        self.url = access.url
        return self

    def query(self, promql, at_s=None):
        self.asked.append(self.url)
        if self.fault:
            raise self.fault
        return Answer(tuple(self.series))

    def close(self):
        pass


@dataclass
class Pods:
    """Pods that are Ready for so long, by name; what they told."""

    ready_s: dict = field(default_factory=dict)
    told: dict = field(default_factory=dict)

    def unheard(self, deployment):
        return {
            name: StartingPod(name, name, "rs", False, Pod(name, Phase.SERVING, 0.0, NOW_S - since_s))
            for name, since_s in self.ready_s.items()
            if name.startswith(deployment) and name not in self.told
        }

    def loaded(self, deployment, told):
        self.told |= {pod.name: load_s for pod, load_s in told}


class World:
    def __init__(self, tmp_path, names, **fields):
        known = {"url": "http://a:9090", "preset": "speech", **fields}
        self.jobs = []
        for name in names:
            file = tmp_path / f"{name}.yaml"
            file.write_text(POLICY % {"name": name, **known})
            self.jobs.append(load_job(file, "voice"))
        self.prometheus, self.pods, self.now_s = Prometheus(), Pods(), 0.0
        self.loading = Loading(
            lambda: self.jobs,
            lambda _: self.pods,
            self.prometheus.connect,
            monotonic=lambda: self.now_s,
            clock=lambda: NOW_S,
        )

    def tells(self, pod, **phases_s):
        labels = {"__name__": METRIC, "namespace": "voice", "pod": pod}
        self.prometheus.series += [Series({**labels, "phase": each}, ((1.0, s),)) for each, s in phases_s.items()]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path, ["tts", "asr"])


def test_targets_are_asked_for_together_and_each_pod_once(world):
    world.pods.ready_s = {"tts-bcd-bcdfg": 100.0, "asr-bcd-bcdfg": 100.0}
    world.tells("tts-bcd-bcdfg", warmup=2.0)
    world.tells("asr-bcd-bcdfg", warmup=3.0)
    world.loading.look()
    assert world.pods.told == {"tts-bcd-bcdfg": {"warmup": 2.0}, "asr-bcd-bcdfg": {"warmup": 3.0}}
    world.now_s += 10 * AGAIN_S
    world.loading.look()
    assert len(world.prometheus.asked) == 1
    assert world.loading.missing("voice/tts") is None


def test_a_pod_is_asked_about_when_its_last_scrape_tells_its_whole_start(world):
    world.pods.ready_s = {"tts-bcd-bcdfg": SETTLED_S - 1.0}
    world.tells("tts-bcd-bcdfg", warmup=2.0)
    world.loading.look()
    assert (world.prometheus.asked, world.pods.told) == ([], {})


@pytest.mark.parametrize(
    ("fault", "cause"),
    [pytest.param(None, Cause.ABSENT, id="absent"), pytest.param(Unreachable("down"), Cause.UNREACHABLE, id="down")],
)
def test_what_is_not_told_is_said_so_and_asked_for_seldom(world, fault, cause):
    world.pods.ready_s = {"tts-bcd-bcdfg": 100.0}
    world.prometheus.fault = fault
    for _ in range(3):
        world.loading.look()
    assert len(world.prometheus.asked) == 1
    assert world.loading.missing("voice/tts").cause is cause
    world.prometheus.fault, world.now_s = None, AGAIN_S
    world.tells("tts-bcd-bcdfg", warmup=2.0)
    world.loading.look()
    assert world.loading.missing("voice/tts") is None


def test_a_time_that_is_none_is_said_to_be_implausible(world):
    world.pods.ready_s = {"tts-bcd-bcdfg": 100.0}
    world.tells("tts-bcd-bcdfg", warmup=-2.0)
    world.loading.look()
    assert str(world.loading.missing("voice/tts")) == "implausible: warmup took -2 s"


def test_a_server_that_is_not_known_to_say_so_is_not_asked(tmp_path):
    world = World(tmp_path, ["tts"], preset="vllm")
    world.pods.ready_s = {"tts-bcd-bcdfg": 100.0}
    world.loading.look()
    assert world.prometheus.asked == []
    assert str(world.loading.missing("voice/tts")) == "absent: preset vllm has no such metric"


class Statuses:
    def __init__(self):
        self.said = []

    def about(self, target, facts):
        self.said.append(facts)


def test_what_is_new_is_shown_once_with_its_node_type_and_absent_is_not_zero():
    typical = Typical(PodKind(("tts:1",), (), "a2"), 2, {"ready": (12.0, 15.0)}, 1, {"weights": (8.0, 9.0)})
    known = [((), Missing(Cause.ABSENT, "none")), ((typical,), None)]
    registry, statuses = CollectorRegistry(), Statuses()
    journal = StartTimes(lambda _: known[0], Metrics(registry), statuses)
    tick = Tick("voice/tts", Missing(Cause.ABSENT, "no Deployment"), None, ())
    journal.append(tick)
    assert statuses.said == [{"loadPhasesMissing": "absent: none"}]
    assert registry.get_sample_value("speech_autoscaler_load_seconds") is None
    known.pop(0)
    for _ in range(3):
        journal.append(tick)
    assert statuses.said[1:] == [{"starts": [typical.said()], "loadPhasesMissing": None}]
    labels = {"target": "voice/tts", "node_type": "a2", "phase": "weights", "quantile": "0.95"}
    assert registry.get_sample_value("speech_autoscaler_load_seconds", labels) == 9.0
