"""The signal source over a Prometheus that is played here."""

import re
from dataclasses import dataclass, field

import pytest

from autoscaler.model import Cause, Fleet, Histogram, InvalidInput, Missing, Phase, Pod, Problem, Unreachable
from autoscaler.prometheus.client import Answer, Series
from autoscaler.prometheus.metrics import DCGM, KAFKA, RABBITMQ, SPEECH, Exporter, Kind, Metric, Subject
from autoscaler.prometheus.sharing import SharedQuery
from autoscaler.prometheus.source import PrometheusSignals, Wanted

POD = "tts-7d9f8c6b5-x2x4z"
FLEET = Fleet(1, (Pod(POD, Phase.SERVING, 0.0, 0.0),))
_RANGE = re.compile(r"\[(\d+)ms\]$")


@dataclass
class Played:
    """Answers range selectors from samples; its present is set by hand."""

    series: list = field(default_factory=list)
    now_s: float = 0.0
    fault: Exception | None = None
    warnings: tuple = ()
    asked: list = field(default_factory=list)

    def query(self, promql, at_s=None):
        self.asked.append((promql, at_s))
        if self.fault:
            raise self.fault
        end_s = self.now_s if at_s is None else at_s
        start_s = end_s - int(_RANGE.search(promql)[1]) / 1000
        inside = [
            Series(s.labels, tuple(p for p in s.samples if start_s < p[0] <= end_s))
            for s in self.series
            if s.labels["__name__"] in promql
        ]
        return Answer(tuple(s for s in inside if s.samples), self.warnings)


def series(name, points, **labels):
    return Series({"__name__": name, "pod": POD, "namespace": "voice", **labels}, tuple(points))


def every_5_s(until_s, value):
    return [(float(t), float(value(t))) for t in range(0, until_s + 1, 5)]


def received(until_s, rate_rps=2.0):
    return series("speech_requests_received_total", every_5_s(until_s, lambda t: rate_rps * t))


def source(played, *others, elsewhere=lambda _: False, monotonic=lambda: 0.0, **wanted):
    queries = [SharedQuery(played, exporter) for exporter in (SPEECH, *others)]
    wanted = Wanted(Subject("voice", "tts"), **{"scrape_interval_s": 5.0} | wanted)
    return PrometheusSignals(queries, wanted, elsewhere=elsewhere, monotonic=monotonic)


def test_the_first_read_looks_back_so_that_a_window_is_there_at_once():
    signals = source(Played([received(100)], now_s=102.0)).read(42.0, 102.0, FLEET)
    assert [scrape.at_s for scrape in signals.scrapes] == [45.0 + 5 * i for i in range(12)]
    assert signals.scrapes[-1].received - signals.scrapes[0].received == 2.0 * 55
    assert signals.problems == ()


def test_later_reads_bring_what_is_new_on_the_same_scale():
    played = Played([received(200)], now_s=101.0)
    reader = source(played)
    first = reader.read(41.0, 101.0, FLEET)
    played.now_s = 106.0
    later = reader.read(first.scrapes[-1].at_s, 106.0, FLEET)
    assert [scrape.at_s for scrape in later.scrapes] == [105.0]
    assert later.scrapes[0].received - first.scrapes[-1].received == 10.0


def test_one_query_reads_all_metrics():
    played = Played([received(20)], now_s=21.0)
    source(played).read(1.0, 21.0, FLEET)
    assert len(played.asked) == 1


def test_a_pod_that_became_ready_again_did_not_begin_to_count_then():
    """It was not scraped while it was not Ready, and the controller began to look meanwhile."""
    other = "tts-7d9f8c6b5-zzzzz"
    flapped = series("speech_requests_received_total", [(t, 1e6 + 2 * t) for t in range(130, 201, 5)])
    steady = series("speech_requests_received_total", every_5_s(200, lambda t: 2 * t), pod=other)
    fleet = Fleet(2, (Pod(POD, Phase.SERVING, 0.0, 125.0), Pod(other, Phase.SERVING, 0.0, 0.0)))
    scrapes = source(Played([flapped, steady], now_s=201.0)).read(100.0, 201.0, fleet).scrapes
    assert scrapes[-1].received - scrapes[0].received <= 4.0 * 100


def test_a_pod_of_a_like_name_that_is_known_to_be_anothers_is_no_load_of_ours():
    """A DaemonSet `tts-gw` beside the Deployment `tts`; also in the minute after its pod has gone."""
    stranger = series("speech_requests_received_total", every_5_s(300, lambda t: 50.0 * t), pod="tts-gw-x2x4z")
    played, known = Played([received(300, rate_rps=20.0), stranger], now_s=101.0), {"tts-gw-x2x4z"}
    reader = source(played, elsewhere=known.__contains__)
    scrapes = [*reader.read(41.0, 101.0, FLEET).scrapes]
    known.clear()
    for played.now_s in range(106, 200, 5):
        scrapes += reader.read(scrapes[-1].at_s, played.now_s, FLEET).scrapes
    first, last = scrapes[0], scrapes[-1]
    assert last.received - first.received == pytest.approx(20.0 * (last.at_s - first.at_s))


def test_a_pod_that_the_fleet_does_not_hold_and_nobody_else_claims_is_counted():
    """It has just been made, or has just gone: no load is lost."""
    unknown = series("speech_requests_received_total", every_5_s(300, lambda t: 50.0 * t), pod="tts-7d9f8c6b5-zzzzz")
    scrapes = source(Played([received(300, rate_rps=20.0), unknown], now_s=301.0)).read(41.0, 301.0, FLEET).scrapes
    first, last = scrapes[0], scrapes[-1]
    assert last.received - first.received == pytest.approx(70.0 * (last.at_s - first.at_s))


def test_gpu_use_is_the_mean_over_the_gpus_of_a_pod():
    labels = {"exported_namespace": "voice", "exported_pod": POD, "__name__": "DCGM_FI_DEV_GPU_UTIL"}
    use = [
        Series({**labels, "gpu": str(gpu)}, ((15.0, percent), (20.0, percent))) for gpu, percent in ((0, 80), (1, 40))
    ]
    [*_, last] = source(Played([received(20), *use], now_s=21.0), DCGM).read(1.0, 21.0, FLEET).scrapes
    assert last.gpu_use_ratio == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("weighed", "said"), [(("gpu_use_ratio",), ["gpu_use_ratio"]), ((), [])], ids=["by the rule", "by nobody"]
)
def test_what_only_some_pods_tell_of_their_gpus_is_half_known(weighed, said):
    """The exporter of one node is gone: the mean over the idle rest is no reason to shrink."""
    other = "tts-7d9f8c6b5-zzzzz"
    gpus = {"exported_namespace": "voice", "__name__": "DCGM_FI_DEV_GPU_UTIL"}
    busy = Series({**gpus, "exported_pod": POD}, tuple((float(t), 95.0) for t in range(0, 101, 5)))
    idle = Series({**gpus, "exported_pod": other}, tuple((float(t), 5.0) for t in range(0, 201, 5)))
    fleet = Fleet(2, tuple(Pod(name, Phase.SERVING, 0.0, 0.0) for name in (POD, other)))
    heard = [received(200), series("speech_requests_received_total", every_5_s(200, lambda t: t), pod=other)]
    read = source(Played([*heard, busy, idle], now_s=201.0), DCGM, weighed=frozenset(weighed)).read(50.0, 201.0, fleet)
    assert [problem.signal for problem in read.problems] == said
    assert all(f"1 of 2 serving pods gave no DCGM_FI_DEV_GPU_UTIL for 17.5 s ({POD})" in str(p) for p in read.problems)


def test_the_oldest_wait_is_that_of_the_longest_of_a_pods_queues():
    waits = [
        series("speech_queue_seconds_waiting", [(15.0, wait_s), (20.0, wait_s)], queue=str(wait_s))
        for wait_s in (3.0, 4.0)
    ]
    [*_, last] = source(Played([received(20), *waits], now_s=21.0)).read(1.0, 21.0, FLEET).scrapes
    assert last.oldest_wait_s == 4.0


def test_idle_is_idle():
    signals = source(Played([received(60, rate_rps=0.0)], now_s=61.0)).read(1.0, 61.0, FLEET)
    assert signals.problems == ()
    assert {scrape.received for scrape in signals.scrapes} == {0.0}


def test_what_is_not_exported_is_absent_and_no_problem():
    [*_, scrape] = source(Played([received(60)], now_s=61.0)).read(1.0, 61.0, FLEET).scrapes
    assert isinstance(scrape.queued, Missing)
    assert isinstance(scrape.latency, Missing)


def buckets(name, *edges):
    return [series(name, every_5_s(60, lambda t, e=edge: t * e[1]), le=edge[0]) for edge in edges]


def test_histograms_have_the_edges_that_both_share():
    played = Played(
        [
            received(60),
            *buckets("speech_request_duration_seconds_bucket", ("0.5", 1), ("0.8", 2), ("1.5", 3), ("+Inf", 4)),
            *buckets("speech_service_seconds_bucket", ("0.5", 1), ("0.8", 3), ("+Inf", 4)),
        ],
        now_s=61.0,
    )
    signals = source(played, objective_s=0.8).read(1.0, 61.0, FLEET)
    first, *_, last = signals.scrapes
    assert signals.edges_s == (0.5, 0.8)
    assert last.latency == Histogram((60.0, 120.0, 240.0))
    assert last.late - first.late == (4 - 2) * (last.at_s - first.at_s)


def test_gpu_use_comes_from_its_own_exporter():
    gpu = Series(
        {"__name__": "DCGM_FI_DEV_GPU_UTIL", "exported_pod": POD, "exported_namespace": "voice"}, ((50.0, 40.0),)
    )
    played = Played([received(60), gpu], now_s=61.0)
    signals = source(played, DCGM).read(1.0, 61.0, FLEET)
    assert signals.scrapes[-1].gpu_use_ratio == pytest.approx(0.4)
    assert len(played.asked) == 2


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        pytest.param(Unreachable("prometheus: no answer in time"), Cause.UNREACHABLE, id="down"),
        pytest.param(InvalidInput("refused the query"), Cause.UNREACHABLE, id="refused"),
    ],
)
def test_a_source_that_fails_says_so_and_goes_on_when_it_is_back(fault, cause):
    played = Played([received(200)], now_s=61.0)
    reader = source(played)
    before = reader.read(1.0, 61.0, FLEET).scrapes[-1]
    played.fault, played.now_s = fault, 100.0
    failed = reader.read(before.at_s, 100.0, FLEET)
    assert failed.scrapes == ()
    assert failed.problems == (Problem("received", Missing(cause, str(fault))),)
    played.fault, played.now_s = None, 121.0
    back = reader.read(before.at_s, 121.0, FLEET)
    assert back.problems == ()
    assert [scrape.at_s for scrape in back.scrapes] == [65.0 + 5 * i for i in range(12)]
    assert back.scrapes[-1].received - before.received == 2.0 * (120 - 60)


def test_old_samples_are_stale():
    signals = source(Played([received(60)], now_s=100.0)).read(40.0, 100.0, FLEET)
    [problem] = signals.problems
    assert (problem.signal, problem.missing.cause) == ("received", Cause.STALE)
    assert "40 s old" in problem.missing.detail


def test_no_series_is_absent_and_never_0():
    signals = source(Played(now_s=100.0)).read(40.0, 100.0, FLEET)
    assert signals.scrapes == ()
    assert [problem.missing.cause for problem in signals.problems] == [Cause.ABSENT]


def test_a_pod_that_restarts_while_nothing_is_scraped_leaves_a_scrape_without_a_value():
    """Its counter began anew: an average over the silence would be a fall of the load that never was."""
    busy = [(float(t), 2.0 * t) for t in range(0, 61, 5)] + [(float(t), 2.0 * (t - 110)) for t in range(115, 131, 5)]
    signals = source(Played([series("speech_requests_received_total", busy)], now_s=131.0)).read(0.0, 131.0, FLEET)
    silent, *others = [scrape for scrape in signals.scrapes if scrape.at_s > 60.0]
    assert silent.received == Missing(Cause.ABSENT, "began anew while nothing was scraped")
    assert [scrape.received - others[0].received for scrape in others] == [0.0, 10.0, 20.0]


def test_the_first_scrape_after_a_silence_is_not_yet_the_present():
    """The clock that dates samples was set forwards by a minute, and they have come of age: 5 s look like 65 s."""
    points = every_5_s(60, lambda t: 2.0 * t) + [(float(t), 2.0 * (t - 60)) for t in range(125, 140, 5)]
    played = Played([series("speech_requests_received_total", points)], now_s=61.0)
    reader = source(played)
    said = []
    for played.now_s in (61.0, 126.0, 129.0, 131.0):
        said.append([problem.missing.cause for problem in reader.read(55.0, played.now_s, FLEET).problems])
    assert said == [[], [Cause.STALE], [Cause.STALE], []]


def test_warnings_make_a_scrape_partial():
    signals = source(Played([received(60)], now_s=61.0, warnings=("a store is down",))).read(1.0, 61.0, FLEET)
    assert "partial answer: a store is down" in str(signals.problems[0])
    assert signals.scrapes


def test_a_long_past_is_read_in_pieces_without_a_gap():
    played = Played([received(3600)], now_s=3601.0)
    signals = source(played).read(1.0, 3601.0, FLEET)
    assert [scrape.at_s for scrape in signals.scrapes] == [5.0 * i for i in range(1, 721)]
    assert len(played.asked) == 7


def test_catching_up_ends_in_time_and_goes_on_with_the_next_read():
    played = Played([received(3600)], now_s=3601.0)
    times_s = iter(range(0, 1000, 6))
    reader = source(played, monotonic=lambda: float(next(times_s)))
    seen, after_s = [], 1.0
    for _ in range(5):
        signals = reader.read(after_s, 3601.0, FLEET)
        seen += [scrape.at_s for scrape in signals.scrapes]
        after_s = seen[-1]
    assert seen == [5.0 * i for i in range(1, 721)]


def test_an_empty_past_is_not_asked_for_again_and_again():
    played = Played(now_s=7200.0)
    reader = source(played)
    reader.read(0.0, 7200.0, FLEET)
    played.asked.clear()
    reader.read(0.0, 7205.0, FLEET)
    assert len(played.asked) == 1


@pytest.mark.parametrize(
    ("role_since_s", "in_flight", "idle"),
    [
        pytest.param(90.0, 0.0, (POD,), id="two samples since it left the Service"),
        pytest.param(96.0, 0.0, (), id="only one"),
        pytest.param(94.5, 0.0, (), id="the role's time is told in whole seconds"),
        pytest.param(90.0, 1.0, (), id="it holds a request"),
        pytest.param(None, 0.0, (), id="it is being deleted by somebody else"),
    ],
)
def test_a_draining_pod_is_idle_when_two_samples_since_say_so(role_since_s, in_flight, idle):
    pod = Pod(POD, Phase.DRAINING, 0.0, 0.0, role_since_s=role_since_s)
    held = series("speech_requests_in_flight", every_5_s(100, lambda _: in_flight))
    played = Played([received(100, rate_rps=0.0), held], now_s=101.0)
    assert source(played).read(41.0, 101.0, Fleet(1, (pod,))).idle == idle


def test_a_pod_that_serves_is_never_called_idle():
    held = series("speech_requests_in_flight", every_5_s(100, lambda _: 0.0))
    pod = Pod(POD, Phase.SERVING, 0.0, 0.0, role_since_s=10.0)
    signals = source(Played([received(100, rate_rps=0.0), held], now_s=101.0)).read(41.0, 101.0, Fleet(1, (pod,)))
    assert signals.idle == ()


QUEUE = Exporter("queue", (Metric("queued", "waiting", Kind.SUM),), told_by=(), matchers=('queue="speech"',))
GATEWAY = Exporter("gateway", (Metric("received", "gateway_total", Kind.COUNTER),), told_by=(("service", "service"),))
BOTH = frozenset({"received", "queued"})


def told(name, points, **labels):
    """A series of a whole service."""
    return Series({"__name__": name, **labels}, tuple(points))


def test_what_waits_in_a_queue_is_added_to_what_waits_in_the_pods():
    inside = series("speech_queue_depth", every_5_s(60, lambda _: 2.0))
    waiting = told("waiting", every_5_s(60, float), queue="speech")
    signals = source(Played([received(60), inside, waiting], now_s=61.0), QUEUE, required=BOTH).read(1.0, 61.0, FLEET)
    assert signals.problems == ()
    assert [scrape.queued - scrape.at_s for scrape in signals.scrapes] == [2.0] * len(signals.scrapes)


@pytest.mark.parametrize(
    ("points", "cause"),
    [
        pytest.param([], Cause.ABSENT, id="never there"),
        pytest.param(every_5_s(30, lambda _: 9.0), Cause.STALE, id="no longer there"),
    ],
)
def test_a_queue_that_is_not_told_of_is_missing_and_never_0(points, cause):
    inside = series("speech_queue_depth", every_5_s(60, lambda _: 0.0))
    waiting = [told("waiting", points, queue="speech")] if points else []
    signals = source(Played([received(60), inside, *waiting], now_s=61.0), QUEUE, required=BOTH).read(1.0, 61.0, FLEET)
    assert [(each.signal, each.missing.cause) for each in signals.problems] == [("queued", cause)]
    assert isinstance(signals.scrapes[-1].queued, Missing)


def test_a_queue_is_seen_while_nobody_serves():
    waiting = told("waiting", every_5_s(60, lambda _: 9.0), queue="speech")
    signals = source(Played([waiting], now_s=61.0), QUEUE, required=BOTH).read(1.0, 61.0, Fleet(0, ()))
    assert [problem.signal for problem in signals.problems] == ["received"]
    assert signals.scrapes[-1].queued == 9.0
    assert isinstance(signals.scrapes[-1].received, Missing)


def test_what_no_pod_could_answer_is_neither_load_nor_missed():
    """A client without a token, ten times as busy as all the others."""
    rejected = [
        series("speech_requests_rejected_total", every_5_s(60, lambda t, rate=rate: rate * t), reason=reason)
        for reason, rate in (("unauthorized", 20.0), ("queue_full", 0.5), ("retried", 3.0))
    ]
    signals = source(Played([received(60, rate_rps=22.0), *rejected], now_s=61.0)).read(1.0, 61.0, FLEET)
    first, *_, last = signals.scrapes
    assert signals.problems == ()
    assert last.received - first.received == pytest.approx(2.0 * (last.at_s - first.at_s))
    assert last.left - first.left == 0.5 * (last.at_s - first.at_s)


BROKERS = {
    # Messages come at 4 a second, are taken at 2, and are worked on for 3 s.
    "rabbitmq": (RABBITMQ, "rabbitmq_queue_messages_ready", lambda t: 2.0 * t, {"vhost": "/", "queue": "speech"}),
    "kafka": (KAFKA, "kafka_consumergroup_lag", lambda t: 2.0 * t + 6.0, {"consumergroup": "g", "topic": "speech"}),
}


@pytest.mark.parametrize("broker", BROKERS)
def test_what_came_to_a_queue_is_what_was_taken_and_what_waits(broker):
    exporter, name, waiting, labels = BROKERS[broker]
    facts = tuple((fact, labels[label]) for label, fact in exporter.told_by)
    told_of = [
        received(60, rate_rps=2.0),
        series("speech_requests_in_flight", every_5_s(60, lambda _: 6.0)),
        told(name, every_5_s(60, waiting), **labels),
    ]
    queries = [SharedQuery(Played(told_of, now_s=61.0), each) for each in (SPEECH, exporter)]
    wanted = Wanted(Subject("voice", "tts", facts), required=BOTH, scrape_interval_s=5.0)
    signals = PrometheusSignals(queries, wanted).read(1.0, 61.0, FLEET)
    first, *_, last = signals.scrapes
    assert signals.problems == ()
    assert last.received - first.received == pytest.approx(4.0 * (last.at_s - first.at_s))


def test_arrivals_counted_before_the_pods_go_with_what_pods_say():
    played = Played(
        [
            told("gateway_total", every_5_s(60, lambda t: 3.0 * t), service="tts"),
            series("speech_service_seconds_sum", every_5_s(60, lambda t: 0.5 * t)),
        ],
        now_s=61.0,
    )
    queries = [SharedQuery(played, exporter) for exporter in (GATEWAY, SPEECH)]
    subject = Subject("voice", "tts", (("service", "tts"),))
    signals = PrometheusSignals(queries, Wanted(subject, scrape_interval_s=5.0)).read(1.0, 61.0, FLEET)
    first, *_, last = signals.scrapes
    assert signals.problems == ()
    assert last.received - first.received == 3.0 * (last.at_s - first.at_s)
    assert last.service_s - first.service_s == 0.5 * (last.at_s - first.at_s)
    assert signals.idle == ()


@pytest.mark.parametrize("step_s", [3600.0, -3600.0], ids=["set forwards", "set back"])
def test_a_clock_that_is_set_makes_data_unusable_and_is_no_error_of_the_configuration(step_s):
    """The samples' own times are right, ours is not; and then it is again."""
    played = Played([received(100)], now_s=101.0)
    reader = source(played)
    seen_s = reader.read(41.0, 101.0, FLEET).scrapes[-1].at_s
    played.series, played.now_s = [received(105)], 106.0
    wrong = reader.read(seen_s, 106.0 + step_s, FLEET)
    assert {problem.missing.cause for problem in wrong.problems} & {Cause.STALE, Cause.IMPLAUSIBLE}
    assert Cause.UNREACHABLE not in {problem.missing.cause for problem in wrong.problems}
    seen_s = wrong.scrapes[-1].at_s if wrong.scrapes else seen_s
    played.series, played.now_s = [received(110)], 111.0
    right = reader.read(seen_s, 111.0, FLEET)
    assert right.problems == ()
    assert [scrape.at_s for scrape in right.scrapes][-1] == 110.0
