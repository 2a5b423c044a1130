"""What servers say of their own start: by pod and phase, as it stands, and what of it is none."""

import math

import pytest

from autoscaler.model import Unreachable
from autoscaler.prometheus.client import Answer, Series
from autoscaler.prometheus.loading import LOADING, METRIC, MOST_PHASES, read_loads
from autoscaler.prometheus.metrics import Subject
from autoscaler.prometheus.sharing import MOST_PODS

TTS, ASR = Subject("voice", "tts"), Subject("voice", "asr")


def told(pod, phase, value, **labels):
    labels = {"__name__": METRIC, "namespace": "voice", "pod": pod, "phase": phase, **labels}
    return Series(labels, ((1000.0, value),))


class Played:
    """A Prometheus that answers everything with the same series."""

    def __init__(self, *series):
        self.series, self.asked = series, []

    def query(self, promql, at_s=None):
        self.asked.append(promql)
        return Answer(self.series)


def read(*series, pods=None):
    return dict(read_loads(Played(*series), LOADING, pods or {TTS: 1}))


def test_one_question_tells_of_all_targets_and_each_gets_its_own():
    played = Played(
        told("tts-bcd-bcdfg", "import", 3.0), told("tts-bcd-bcdfg", "warmup", 1.5), told("asr-bcd-bcdfg", "import", 9.0)
    )
    found = dict(read_loads(played, LOADING, {TTS: 1, ASR: 1}))
    assert found[TTS].by_pod == {"tts-bcd-bcdfg": {"import": 3.0, "warmup": 1.5}}
    assert found[ASR].by_pod == {"asr-bcd-bcdfg": {"import": 9.0}}
    assert len(played.asked) == 1
    assert "[" not in played.asked[0].rpartition("}")[2]  # as it stands now, not over time


def test_many_pods_are_asked_for_in_parts():
    played = Played()
    found = dict(read_loads(played, LOADING, {TTS: MOST_PODS, ASR: 1}))
    assert [each.by_pod for each in found.values()] == [{}, {}]
    assert len(played.asked) == 2


def test_two_scrapers_of_one_pod_say_it_once():
    found = read(told("tts-bcd-bcdfg", "import", 3.0, job="a"), told("tts-bcd-bcdfg", "import", 3.0, job="b"))
    assert found[TTS].by_pod == {"tts-bcd-bcdfg": {"import": 3.0}}


@pytest.mark.parametrize(
    ("series", "fault"),
    [
        pytest.param(told("tts-bcd-bcdfg", "import", math.nan), "import took nan s", id="NaN"),
        pytest.param(told("tts-bcd-bcdfg", "import", -1.0), "import took -1 s", id="negative"),
        pytest.param(told("tts-bcd-bcdfg", "import", 1e9), "import took 1e+09 s", id="years"),
        pytest.param(told("tts-bcd-bcdfg", "", 1.0), "a phase is called ''", id="no phase"),
        pytest.param(told("tts-bcd-bcdfg", "x" * 99, 1.0), "a phase is called", id="a novel"),
    ],
)
def test_what_is_no_time_of_a_phase_is_left_out_and_said(series, fault):
    alone = read(series)[TTS]
    assert (alone.by_pod, alone.implausible[: len(fault)]) == ({}, fault)
    beside = read(series, told("tts-bcd-bcdfg", "warmup", 0.0))[TTS]
    assert beside.by_pod == {"tts-bcd-bcdfg": {"warmup": 0.0}}


def test_phases_are_bounded_for_they_become_labels():
    found = read(*(told("tts-bcd-bcdfg", f"phase-{number}", 1.0) for number in range(MOST_PHASES + 3)))[TTS]
    assert len(found.by_pod["tts-bcd-bcdfg"]) == MOST_PHASES
    assert f"more than {MOST_PHASES} phases" in found.implausible


def test_a_pod_of_another_target_is_not_ours():
    assert read(told("tts-large-bcd-bcdfg", "import", 1.0))[TTS].by_pod == {}


def test_a_prometheus_that_does_not_answer_is_no_silence():
    class Broken:
        def query(self, promql, at_s=None):
            raise Unreachable("down")

    with pytest.raises(Unreachable):
        dict(read_loads(Broken(), LOADING, {TTS: 1}))
