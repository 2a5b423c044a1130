"""What is read for which policy, who is asked for together, and when they tick."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from autoscaler.model import Fleet, InvalidInput, Phase, Pod
from autoscaler.prometheus.client import Answer
from autoscaler.service.sources import (
    Sources,
    continues,
    exporters_of,
    group_of,
    loading_of,
    required_of,
    subject_of,
    wanted_of,
)
from autoscaler.service.targets import SPREAD_S, Beat, Targets
from autoscaler.service.wiring import load_job

POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s, namespace: %(namespace)s}
spec:
  target: {kind: Deployment, name: %(name)s, service: %(name)s}
  workload: {ref: %(workload)s}
  replicas: {min: 1, max: %(max)s}
  %(more)s
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
        known |= {"workload": "tts", "max": 10, "more": ""}
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
    assert wanted_of(job(**fields)).weighed == read


def test_the_predictive_policy_reads_all_there_is(job):
    read = {metric.signal for each in exporters_of(job()) for metric in each.metrics}
    assert {"received", "latency", "service", "queued", "in_flight", "gpu_use_ratio"} <= read


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        pytest.param({}, ("speech_model_load_phase_seconds", 1.0), id="what our server exports"),
        pytest.param({"preset": "vllm"}, None, id="another server says nothing of it"),
        pytest.param(
            {"preset": "vllm", "metrics": "loadPhases: {query: 'load_ms{pod=~\"$pods\"}', factor: 0.001}"},
            ("load_ms", 0.001),
            id="but where the file says how",
        ),
    ],
)
def test_what_servers_say_of_their_start(job, fields, read):
    exporter = loading_of(job(**fields))
    assert (exporter and (exporter.metrics[0].name, exporter.metrics[0].factor)) == read


def test_arrivals_of_ones_own_are_taken_as_they_are_told(job):
    own = "queue: {type: rabbitmq, queue: q}\n    queries: {received: {query: 'published_total{queue=\"q\"}'}}"
    read = {metric.signal for each in exporters_of(job(metrics=own)) for metric in each.metrics}
    assert {"received", "queued"} <= read
    assert not {"refused", "ready"} & read


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


GATED = {"more": "standby: {mode: gated, min: 2, max: 4}"}


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [
        pytest.param({}, {}, True, id="nothing"),
        pytest.param({}, {"max": 20}, True, id="bounds"),
        pytest.param({}, {"policy": "{type: predictive, startPrice: 9s, mostPrice: 9s}"}, True, id="prices"),
        pytest.param({}, {"drain": "label", "more": "mode: observe"}, True, id="how pods go, and the mode"),
        pytest.param(GATED, {"more": "standby: {mode: gated, min: 3, max: 6}"}, True, id="how many stand by"),
        pytest.param({}, GATED, False, id="whether pods stand by"),
        pytest.param({}, {"workload": "asr"}, False, id="the workload"),
        pytest.param({}, {"policy": "{type: predictive, tick: 10s}"}, False, id="the length of an interval"),
        pytest.param({}, {"policy": "{type: predictive, prior: none}"}, False, id="what other services taught"),
        pytest.param({}, {"more": "clock: {timeZone: Europe/Zurich}"}, False, id="the time zone"),
        pytest.param({}, {"url": "http://elsewhere:9090"}, False, id="another Prometheus"),
        pytest.param({}, {"preset": "vllm"}, False, id="other metrics"),
        pytest.param({}, {"preset": "speech, staleAfter: 30s"}, False, id="how old data may be"),
        pytest.param({}, {"policy": "{type: fixed, replicas: 2}"}, False, id="another rule"),
        pytest.param({"policy": "{type: fixed, replicas: 2}"}, {}, False, id="from another rule"),
    ],
)
def test_what_of_a_changed_file_lets_a_target_go_on_with_all_that_is_known(job, before, now, goes_on):
    assert continues(job(**before), job(**(before | now))) is goes_on


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
    moments = [seconds(beat.next(tick_s, rank / 50, BEGAN)) for rank in range(50)]
    assert moments == pytest.approx([span_s * rank / 50 for rank in range(50)], abs=1e-5)


@pytest.mark.parametrize("late_s", [0.3, 5.0, 1234.5])
def test_who_joins_later_ticks_at_once_and_then_with_the_others(late_s):
    first = seconds(Beat(BEGAN).next(5.0, 0.0, BEGAN + timedelta(seconds=late_s)))
    assert late_s - 5.0 < first <= late_s
    assert first % 5.0 == 0.0


class Diary:
    """A scheduler that notes when each target is to tick first."""

    def __init__(self):
        self.first = {}

    def add_job(self, _, __, *, id, next_run_time, **___):  # noqa: A002 — the scheduler's own word
        self.first[id] = next_run_time


def test_targets_tick_in_the_order_in_which_they_are_asked_for_so_that_few_answers_lie_there_at_once(job):
    diary = Diary()
    jobs = {each.target.name: each for each in (job(f"tts-{number:02}") for number in (7, 3, 9, 1, 5))}
    Targets(lambda job, _: SimpleNamespace(target=job.target, run=None), diary).settle(jobs)
    assert sorted(diary.first, key=diary.first.get) == sorted(jobs)
    assert max(diary.first.values()) - min(diary.first.values()) == timedelta(seconds=SPREAD_S * 4 / 5)


QUERIES = """queries:
      received: {query: 'http_requests_total{namespace="$namespace",pod=~"$pods",code!="503"}'}
      completed: {query: 'http_requests_total{namespace="$namespace",pod=~"$pods",code="200"}'}
      serviceSeconds: {query: 'http_busy_ms_total{namespace="$namespace",pod=~"$pods",code="200"}', factor: 0.001}
      queued: {query: 'waiting{service="$service"}'}
      latencyBuckets: {query: 'http_seconds_bucket{namespace="$namespace",pod=~"$pods"}'}"""


def test_queries_of_ones_own_take_the_place_of_the_presets(job):
    first, *others = exporters_of(job(metrics=QUERIES))
    assert {metric.signal for metric in first.metrics} == {"received"}
    own = {metric.signal: (metric.name, metric.factor) for each in others for metric in each.metrics}
    assert own["service_s"] == ("http_busy_ms_total", 0.001)
    assert own["queued"] == ("waiting", 1.0)
    assert own["in_flight"] == ("speech_requests_in_flight", 1.0)
    assert len([signal for each in (first, *others) for signal in each.metrics]) == len(own) + 1


def test_metrics_with_the_same_labels_are_asked_for_together(job):
    together = [{metric.signal for metric in each.metrics} for each in exporters_of(job(metrics=QUERIES))]
    assert {"completed", "service_s"} in together


def test_own_queries_are_rendered_for_each_target(job):
    first, *_ = exporters_of(job(metrics=QUERIES))
    assert first.selector([subject_of(job())]).startswith(
        '{__name__="http_requests_total",code!="503",namespace="voice"'
    )


@pytest.mark.parametrize(
    ("queue", "selector", "in_pods"),
    [
        pytest.param(
            "{type: rabbitmq, queue: speech}",
            '{__name__=~"rabbitmq_detailed_queue_messages_ready|rabbitmq_queue_messages_ready",vhost="/",queue="speech"}',
            True,
            id="rabbitmq",
        ),
        pytest.param(
            "{type: kafka, topic: speech, group: workers}",
            '{__name__="kafka_consumergroup_lag",consumergroup="workers",topic="speech"}',
            False,
            id="kafka, whose lag holds what the pods took",
        ),
    ],
)
def test_queues(job, queue, selector, in_pods):
    ours = job(metrics=f"queue: {queue}")
    first, *_, last = exporters_of(ours)
    assert last.selector([subject_of(ours)]) == selector
    assert ("queued" in {metric.signal for metric in first.metrics}) is in_pods
    assert required_of(ours) == {"received", "queued"}


def test_targets_with_queues_of_their_own_are_asked_for_together(job):
    one, other = job(metrics="queue: {type: rabbitmq, queue: a}"), job(metrics="queue: {type: rabbitmq, queue: b}")
    assert group_of(one) == group_of(other)
    [*_, last] = exporters_of(one)
    assert 'queue=~"a|b"' in last.selector([subject_of(one), subject_of(other)])


def test_a_peers_query_over_a_named_metric_runs(job):
    trigger = "{type: prometheus, metadata: {query: 'sum(rate(http_requests_total{code!=\"503\"}[2m]))', threshold: 4}}"
    with pytest.raises(InvalidInput, match="cannot be replayed: a choice of series by code"):
        job(policy=f"{{type: keda, triggers: [{trigger}]}}")
    ours = job(policy=f"{{type: keda, triggers: [{trigger}]}}", metrics=QUERIES)
    [reading] = ours.target.policy.readings.values()
    assert (reading.signal, reading.window_s) == ("rate", 120.0)
