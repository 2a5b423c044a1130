"""Which series are meant, which samples are none, and who should have been heard."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.model import Cause, Fleet, Phase, Pod
from autoscaler.prometheus.client import Series
from autoscaler.prometheus.ledger import Item
from autoscaler.prometheus.metrics import DCGM, SPEECH, Kind, Metric, Subject, pods_of_deployment
from autoscaler.prometheus.quality import Scope, believe, silence

POD_A, POD_B = "tts-7d9f8c6b5-x2x4z", "tts-7d9f8c6b5-bbbbb"
SCOPE = Scope.of(SPEECH, Subject("voice", "tts"))
RECEIVED = Metric("received", "speech_requests_received_total", Kind.COUNTER)


def series(*points, name=RECEIVED.name, pod=POD_A, namespace="voice", **labels):
    return Series({"__name__": name, "pod": pod, "namespace": namespace, **labels}, points)


def believed(*all_series, scope=SCOPE, now_s=100.0):
    return believe(all_series, scope, now_s, ahead_s=5.0)


@pytest.mark.parametrize(
    ("name", "pod", "ours"),
    [
        pytest.param("tts", "tts-7d9f8c6b5-x2x4z", True, id="hash and suffix"),
        pytest.param("tts", "tts-canary-7d9f8c6b5-x2x4z", False, id="a Deployment whose name begins the same"),
        pytest.param("tts", "tts-0", False, id="a StatefulSet"),
        pytest.param("tts", "tts-7d9f8c6b5-x2x4z-debug", False, id="something after it"),
        pytest.param("tts.v2", "ttsxv2-7d9f8c6b5-x2x4z", False, id="a dot is a dot"),
        pytest.param("n" * 60, "n" * 58 + "x2x4z", True, id="a name so long that it is cut"),
        pytest.param("n" * 50, "n" * 50 + "-7d9f8c6" + "x2x4z", True, id="a hash that is cut"),
    ],
)
def test_pods_of_a_deployment(name, pod, ours):
    assert bool(re.fullmatch(pods_of_deployment(name), pod)) is ours


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(series((1, 1), pod="asr-7d9f8c6b5-x2x4z"), id="another Deployment"),
        pytest.param(series((1, 1), namespace="other"), id="another namespace"),
        pytest.param(series((1, 1), name="up"), id="another metric"),
        pytest.param(Series({"__name__": RECEIVED.name}, ((1, 1),)), id="no pod"),
    ],
)
def test_what_is_not_meant_is_passed_over_in_silence(foreign):
    found = believed(foreign)
    assert (found.samples, found.problems) == ([], [])


def test_samples_are_sorted_by_what_they_feed():
    found = believed(
        series((1, 3), service="tts", endpoint="/v1/audio/speech"),
        series((1, 2), name="speech_queue_depth"),
        series((1, 9), name="speech_request_duration_seconds_bucket", le="0.8"),
        series((1, 9), name="speech_request_duration_seconds_bucket", le="+Inf"),
    )
    assert [(s.item, s.cumulative) for s in found.samples] == [
        (Item("received"), True),
        (Item("queued"), False),
        (Item("latency", 0.8), True),
        (Item("latency", math.inf), True),
    ]
    assert found.samples[0].series == ("endpoint=/v1/audio/speech", "service=tts")


def test_values_are_brought_to_the_unit_of_the_signal():
    labels = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "exported_pod": POD_A, "exported_namespace": "voice", "pod": "dcgm"}
    [samples] = believed(Series(labels, ((1, 50.0),)), scope=Scope.of(DCGM, Subject("voice", "tts"))).samples
    assert (samples.item, samples.points) == (Item("gpu_use_ratio"), ((1, 0.5),))


@pytest.mark.parametrize(
    ("point", "says"),
    [
        pytest.param((99, math.nan), "is nan", id="NaN"),
        pytest.param((99, math.inf), "is inf", id="infinite"),
        pytest.param((99, -1.0), "is -1", id="negative"),
        pytest.param((99, 1e300), "is 1e+300", id="absurd"),
        pytest.param((140, 1.0), "35 s in the future: the clocks differ", id="from the future"),
    ],
)
def test_an_implausible_sample_is_left_out_and_named(point, says):
    found = believed(series((98, 1.0), point))
    [problem] = found.problems
    assert (problem.signal, problem.missing.cause) == ("received", Cause.IMPLAUSIBLE)
    assert says in problem.missing.detail
    assert POD_A in problem.missing.detail
    assert [samples.points for samples in found.samples] == [((98, 1.0),)]


def test_a_clock_slightly_ahead_is_no_fault():
    assert believed(series((103, 1.0))).problems == []


@pytest.mark.parametrize(
    ("second", "label"),
    [
        pytest.param({"job": "k8s", "instance": "i"}, "job 'pods' and 'k8s'", id="two jobs"),
        pytest.param({"job": "pods", "instance": "i", "replica": "b"}, "replica '' and 'b'", id="two replicas"),
    ],
)
def test_two_origins_of_one_pod_are_never_added_up(second, label):
    found = believed(
        series((90, 1), (95, 2), job="pods", instance="i"),
        series((92, 1), (97, 2), **second),
        series((90, 5), pod=POD_B, job="pods", instance="j"),
    )
    [problem] = found.problems
    assert problem.missing.cause is Cause.IMPLAUSIBLE
    assert label in problem.missing.detail
    assert [samples.pod for samples in found.samples] == [POD_B]


def test_one_origin_after_the_other_is_a_move_and_no_fault():
    found = believed(series((80, 1), (85, 2), instance="old"), series((90, 0), (95, 1), instance="new"))
    assert found.problems == []
    assert len(found.samples) == 2


def test_an_edge_that_is_no_number_is_named():
    found = believed(series((1, 2), name="speech_request_duration_seconds_bucket", le="soon"))
    assert [samples.points for samples in found.samples] == []
    assert "has the edge 'soon'" in found.problems[0].missing.detail


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)))
def test_nothing_but_finite_numbers_from_0_up_is_ever_entered(values):
    for samples in believed(series(*((float(i), value) for i, value in enumerate(values)))).samples:
        assert all(0.0 <= value < math.inf for _, value in samples.points)


def fleet(**loaded_at_s):
    return Fleet(len(loaded_at_s), tuple(Pod(name, Phase.SERVING, 0.0, at_s) for name, at_s in loaded_at_s.items()))


TWO = fleet(a=0.0, b=0.0)


@pytest.mark.parametrize(
    ("newest_s", "pods", "says"),
    [
        pytest.param({"a": 99, "b": 85}, TWO, None, id="all fresh"),
        pytest.param({"a": 99}, TWO, "stale: 1 of 2 serving pods gave no .* for 15 s .b.", id="one never heard"),
        pytest.param({"a": 99, "b": 84}, TWO, "stale: 1 of 2", id="one fell silent"),
        pytest.param({"a": 60, "b": 40}, TWO, "stale: .* is 40 s old, 15 s allowed", id="all silent"),
        pytest.param({}, TWO, "absent: no series of speech_requests_received_total", id="nothing at all"),
        pytest.param({}, fleet(), "absent", id="nobody serves, nobody is heard"),
        pytest.param({"z": 99}, fleet(), None, id="nobody serves, one that starts is heard"),
        pytest.param({"a": 99}, fleet(a=0.0, b=90.0), None, id="just loaded: not scraped yet"),
        pytest.param({"a": 99}, fleet(a=0.0, b=80.0), "1 of 2", id="loaded a while ago and still silent"),
    ],
)
def test_who_should_have_been_heard(newest_s, pods, says):
    problem = silence(newest_s, pods, now_s=100.0, limit_s=15.0, metric=RECEIVED)
    if says is None:
        assert problem is None
    else:
        assert re.search(says, str(problem.missing))
