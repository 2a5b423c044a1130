"""What is read for which policy, who is asked for together, and when they tick."""

from datetime import UTC, datetime, timedelta

import pytest

from autoscaler.model import Fleet, Phase, Pod
from autoscaler.prometheus.client import Answer
from autoscaler.service.sources import Sources, exporters_of, group_of
from autoscaler.service.targets import SPREAD_S, Beat
from autoscaler.service.wiring import load_job

POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s, namespace: %(namespace)s}
spec:
  target: {kind: Deployment, name: %(name)s}
  workload: {ref: tts}
  replicas: {min: 1, max: 10}
  drain: %(drain)s
  policy: %(policy)s
  signals:
    prometheus: {url: "%(url)s", preset: %(preset)s}
    %(metrics)s
"""
HPA = """
    type: hpa
    metrics: [{type: Pods, pods: {metric: {name: load}, target: {type: AverageValue, averageValue: 700m}}}]"""


@pytest.fixture
def job(tmp_path):
    """Makes one from a policy file."""

    def made(name="tts", namespace="voice", **fields):
        known = {"url": "http://prometheus:9090", "preset": "speech", "drain": "sigterm", "metrics": ""}
        fields = {"name": name, "namespace": namespace, **known, "policy": "{type: predictive}", **fields}
        file = tmp_path / f"{namespace}-{name}.yaml"
        file.write_text(POLICY % fields)
        return load_job(file, "voice")

    return made


def reads(signal):
    return {"policy": HPA, "metrics": f"metrics: {{load: {{signal: {signal}, window: 60s}}}}"}


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        pytest.param(reads("busy"), {"received", "service_s"}, id="what an HPA asks for"),
        pytest.param(reads("gpu"), {"received", "gpu_use_ratio"}, id="from the exporter that has it"),
        pytest.param(
            reads("busy") | {"drain": "label"}, {"received", "service_s", "in_flight"}, id="to see pods empty"
        ),
        pytest.param({"policy": "{type: fixed, replicas: 2}"}, {"received"}, id="a fixed size asks for nothing"),
    ],
)
def test_only_what_the_policy_reads_is_asked_for(job, fields, read):
    assert {metric.signal for each in exporters_of(job(**fields)) for metric in each.metrics} == read


def test_the_predictive_policy_reads_all_there_is(job):
    read = {metric.signal for each in exporters_of(job()) for metric in each.metrics}
    assert {"received", "latency", "service", "queued", "in_flight", "gpu_use_ratio"} <= read


@pytest.mark.parametrize(
    ("other", "together"),
    [
        pytest.param({"name": "asr", "namespace": "team"}, True, id="another target"),
        pytest.param({"url": "http://elsewhere:9090"}, False, id="another Prometheus"),
        pytest.param({"preset": "vllm"}, False, id="other metrics"),
        pytest.param(reads("busy"), False, id="fewer metrics"),
    ],
)
def test_who_is_asked_for_together(job, other, together):
    assert (group_of(job()) == group_of(job(**other))) is together


class Counting:
    """A Prometheus without series that counts."""

    def __init__(self):
        self.asked, self.closed = [], 0

    def __call__(self, access):
        return self

    def query(self, promql, at_s=None):
        self.asked.append(promql)
        return Answer(())

    def close(self):
        self.closed += 1


def test_targets_come_and_go_with_the_policies_in_force(job):
    prometheus = Counting()
    sources = Sources(prometheus)
    sources.settle([job("tts"), job("asr"), job("vllm", preset="vllm")])
    for name in ("tts", "asr"):
        assert sources.signals_of(job(name)).read(900.0, 1000.0, FLEET).problems
    assert ["asr" in each for each in prometheus.asked] == [True, True]
    sources.settle([job("tts")])
    assert prometheus.closed == 1
    sources.signals_of(job("tts")).read(900.0, 1000.0, FLEET)
    assert not any("asr" in each for each in prometheus.asked[2:])
    sources.close()
    assert prometheus.closed == 3


FLEET = Fleet(1, (Pod("tts-bcd-bcdfg", Phase.SERVING, 0.0, 0.0),))
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def seconds(moment):
    return (moment - BEGAN).total_seconds()


@pytest.mark.parametrize(("tick_s", "span_s"), [(1.0, 0.2), (5.0, SPREAD_S), (15.0, SPREAD_S)])
def test_who_shares_a_question_ticks_soon_after_the_other(tick_s, span_s):
    beat = Beat(BEGAN)
    places = [seconds(beat.next(tick_s, BEGAN)) for _ in range(50)]
    assert places[0] == 0.0
    assert max(places) < span_s
    gaps = sorted(later - earlier for earlier, later in zip(sorted(places), sorted(places)[1:], strict=False))
    assert gaps[-1] < 4 * gaps[0]


@pytest.mark.parametrize("late_s", [0.3, 5.0, 1234.5])
def test_who_joins_later_ticks_at_once_and_then_with_the_others(late_s):
    first = seconds(Beat(BEGAN).next(5.0, BEGAN + timedelta(seconds=late_s)))
    assert late_s - 5.0 < first <= late_s
    assert first % 5.0 == 0.0
