"""One query for many targets: who is asked for together, who gets what, and what a failure is to each."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.model import InvalidInput, Unreachable
from autoscaler.prometheus.client import Answer, Series, TooLarge
from autoscaler.prometheus.metrics import DCGM, SPEECH, Exporter, Kind, Metric, Subject
from autoscaler.prometheus.sharing import FAR_S, MOST_NAMES, NEAR_S, REUSE_S, SharedQuery, split

NOW_S = 1000.0
TTS, ASR, OTHER = (Subject("voice", name) for name in ("tts", "asr", "other"))
QUEUE = Exporter("queue", (Metric("queued", "depth", Kind.SUM),), told_by=(("queue", "queue"),))


def series(pod, namespace="voice", name="speech_queue_depth", at_s=NOW_S):
    return Series({"__name__": name, "namespace": namespace, "pod": pod}, ((at_s, 1.0),))


@dataclass
class Played:
    """A Prometheus that answers everything with the same series, or fails."""

    series: tuple = ()
    fault: Exception | None = None
    warnings: tuple = ()
    asked: list = field(default_factory=list)

    def query(self, promql, at_s=None):
        self.asked.append(promql)
        if self.fault:
            raise self.fault
        return Answer(self.series, self.warnings)

    def close(self):
        self.asked.append("closed")

    def reached_s(self, query=-1):
        """How far back a question went."""
        return int(re.search(r"\[(\d+)ms\]$", self.asked[query])[1]) / 1000


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self):
        return self.now_s


def shared(played, *subjects, clock=None, exporter=SPEECH):
    query = SharedQuery(played, exporter, clock or Clock())
    query.serve(subjects)
    return query


def pods_of(portion):
    return [each.labels["pod"] for each in portion.series]


def test_the_first_asks_for_all_and_each_gets_its_own():
    played = Played((series("tts-bcd-bcdfg"), series("asr-bcd-bcdfg"), series("asr-xz2-cdfgh")))
    query = shared(played, TTS, ASR)
    assert pods_of(query.read(TTS, NOW_S - 30, NOW_S)) == ["tts-bcd-bcdfg"]
    assert pods_of(query.read(ASR, NOW_S - 30, NOW_S)) == ["asr-bcd-bcdfg", "asr-xz2-cdfgh"]
    assert len(played.asked) == 1


@pytest.mark.parametrize("count", [1, 10, 25])
def test_a_cycle_takes_one_question_however_many_there_are(count):
    subjects = [Subject(f"team-{number % 7}", f"service-{number}") for number in range(count)]
    played, clock = Played(), Clock()
    query = shared(played, *subjects, clock=clock)
    for cycle in range(1, 5):
        clock.now_s += 5.0
        for subject in subjects:
            query.read(subject, NOW_S - 30, NOW_S)
        assert len(played.asked) == cycle


def test_a_portion_is_given_once():
    played = Played()
    query = shared(played, TTS, ASR)
    for _ in range(3):
        query.read(TTS, NOW_S - 30, NOW_S)
    assert len(played.asked) == 3


@pytest.mark.parametrize(
    ("age_s", "asked"), [pytest.param(REUSE_S, 1, id="young enough"), pytest.param(REUSE_S + 0.1, 2, id="too old")]
)
def test_an_answer_grows_too_old_to_be_shared(age_s, asked):
    played, clock = Played(), Clock()
    query = shared(played, TTS, ASR, clock=clock)
    query.read(TTS, NOW_S - 30, NOW_S)
    clock.now_s += age_s
    query.read(ASR, NOW_S - 30, NOW_S)
    assert len(played.asked) == asked


def test_a_question_reaches_back_as_far_as_any_target_needs():
    played = Played()
    query = shared(played, TTS, ASR)
    query.goes_on(ASR, NOW_S - 50, pods=1)
    query.read(TTS, NOW_S - 30, NOW_S)
    assert played.reached_s() == 50
    query.read(ASR, NOW_S - 50, NOW_S)
    assert len(played.asked) == 1


def test_who_needs_more_than_was_asked_for_asks_anew():
    played = Played()
    query = shared(played, TTS, ASR)
    query.read(TTS, NOW_S - 30, NOW_S)
    query.read(ASR, NOW_S - 60, NOW_S)
    assert [played.reached_s(0), played.reached_s(1)] == [30, 60]


def test_targets_that_lag_behind_ask_together_and_burden_no_others():
    played = Played()
    query = shared(played, TTS, ASR, OTHER)
    query.goes_on(TTS, NOW_S - 20, pods=1)
    for late in (ASR, OTHER):
        query.goes_on(late, NOW_S - NEAR_S - 1, pods=1)
    query.read(TTS, NOW_S - 20, NOW_S)
    query.read(ASR, NOW_S - NEAR_S - 1, NOW_S)
    query.read(OTHER, NOW_S - NEAR_S - 1, NOW_S)
    assert [played.reached_s(0), played.reached_s(1)] == [20, NEAR_S + 1]
    assert len(played.asked) == 2


def test_a_long_past_is_asked_for_alone():
    played = Played()
    query = shared(played, TTS, ASR)
    query.read(TTS, NOW_S - FAR_S - 1, NOW_S)
    query.past(TTS, NOW_S - 600, NOW_S)
    assert all("asr" not in promql for promql in played.asked)


def test_a_failure_is_waited_for_once_and_told_to_each():
    played = Played(fault=Unreachable("no answer in time"))
    query = shared(played, TTS, ASR)
    for subject in (TTS, ASR):
        with pytest.raises(Unreachable, match="no answer in time"):
            query.read(subject, NOW_S - 30, NOW_S)
    assert len(played.asked) == 1
    played.fault = None
    assert pods_of(query.read(TTS, NOW_S - 30, NOW_S)) == []


class Hung(Played):
    """It says when it is asked, and keeps the caller until it is let go."""

    def __init__(self):
        super().__init__(fault=Unreachable("no answer in time"))
        self.begun, self.let_go = threading.Event(), threading.Event()

    def query(self, promql, at_s=None):
        self.begun.set()
        assert self.let_go.wait(10.0)
        return super().query(promql, at_s)


def test_nobody_waits_in_turn_for_one_that_failed_last():
    """It may hang: else its targets would hold all threads for ticks, those of other targets too."""
    played = Hung()
    played.let_go.set()
    query = shared(played, TTS, OTHER)
    with pytest.raises(Unreachable):
        query.read(TTS, NOW_S - 30, NOW_S)
    played.begun.clear()
    played.let_go.clear()
    played.fault = None
    with ThreadPoolExecutor() as threads:
        first = threads.submit(query.read, TTS, NOW_S - 30, NOW_S)
        assert played.begun.wait(10.0)
        with pytest.raises(Unreachable, match="no answer in time"):
            query.read(ASR, NOW_S - 30, NOW_S)
        played.let_go.set()
        assert pods_of(first.result(10.0)) == []
    assert pods_of(query.read(ASR, NOW_S - 30, NOW_S)) == []


@pytest.mark.parametrize("fault", [TooLarge("an answer of more than 64 MiB"), InvalidInput("too many samples")])
def test_what_is_too_much_at_once_is_asked_for_in_parts(fault):
    subjects = [Subject("voice", f"tts-{number}") for number in range(8)]
    played, clock = Played(fault=fault), Clock()
    query = shared(played, *subjects, clock=clock)
    for subject in subjects:
        query.goes_on(subject, NOW_S - 30, pods=400)
    for _ in range(3):
        clock.now_s += 5.0
        with pytest.raises(type(fault)):
            query.read(subjects[0], NOW_S - 30, NOW_S)
    named = [promql.count("tts") for promql in played.asked]
    assert named == sorted(named, reverse=True)
    assert named[-1] == 1


def test_partial_answers_are_said_to_each():
    played = Played(warnings=("a store is down",))
    query = shared(played, TTS, ASR)
    assert [query.read(each, NOW_S - 30, NOW_S).warnings for each in (TTS, ASR)] == [("a store is down",)] * 2


def test_who_is_served_changes_with_the_policies():
    played, clock = Played(), Clock()
    query = shared(played, TTS, ASR, clock=clock)
    query.read(TTS, NOW_S - 30, NOW_S)
    query.serve([TTS, OTHER])
    clock.now_s += 5.0
    query.read(TTS, NOW_S - 30, NOW_S)
    assert "asr" in played.asked[0]
    assert "other" in played.asked[1]
    assert "asr" not in played.asked[1]


def test_a_question_is_bounded():
    subjects = [Subject("voice", f"a-service-with-a-long-name-{number:04d}") for number in range(1000)]
    played, clock = Played(), Clock()
    query = shared(played, *subjects, clock=clock)
    for subject in subjects:
        query.read(subject, NOW_S - 30, NOW_S)
    assert max(map(len, played.asked)) < 2 * MOST_NAMES
    assert len(played.asked) < 40


def test_fleets_that_outgrow_a_question_are_asked_for_in_several():
    subjects = [Subject("voice", f"service-{number}") for number in range(10)]
    played, clock = Played(), Clock()
    query = shared(played, *subjects, clock=clock)
    asked = []
    for pods in (1, 50, 1000):
        for subject in subjects:
            query.goes_on(subject, NOW_S - 30, pods)
        played.asked.clear()
        clock.now_s += 5.0
        for subject in subjects:
            query.read(subject, NOW_S - 30, NOW_S)
        asked.append(len(played.asked))
    assert asked == [1, 5, 10]  # 145 pods at most, with room for those that come


@pytest.mark.parametrize(
    ("subjects", "selector"),
    [
        pytest.param(
            [TTS],
            '{__name__="DCGM_FI_DEV_GPU_UTIL",exported_namespace="voice",'
            'exported_pod=~"tts-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}"}',
            id="one target",
        ),
        pytest.param(
            [TTS, Subject("other", "a.b"), Subject("voice", "n" * 60)],
            '{__name__="DCGM_FI_DEV_GPU_UTIL",exported_namespace=~"other|voice",'
            f'exported_pod=~"(?:a\\\\.b|tts)-.+|{"n" * 47}.+"}}',
            id="several",
        ),
    ],
)
def test_selectors(subjects, selector):
    assert DCGM.selector(subjects) == selector


def test_series_of_a_whole_service_are_told_apart_by_their_labels():
    one, other = (Subject("voice", name, (("queue", f"q-{name}"),)) for name in ("tts", "asr"))
    found = [Series({"__name__": "depth", "queue": name}, ()) for name in ("q-asr", "q-tts", "q-else")]
    shares = split(found, QUEUE, [one, other])
    assert [[each.labels["queue"] for each in shares[subject]] for subject in (one, other)] == [["q-tts"], ["q-asr"]]


ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?", fullmatch=True)
HASHES = st.text(ALPHABET, min_size=1, max_size=10)
SUFFIXES = st.text(ALPHABET, min_size=5, max_size=5)


@given(st.lists(st.tuples(NAMES, HASHES, SUFFIXES), min_size=1, max_size=8, unique_by=lambda each: each[0]))
def test_every_pod_goes_to_its_own_deployment(deployments):
    """As Kubernetes calls them: the name and hash of the ReplicaSet, cut at 58 characters, and five letters."""
    subjects = [Subject("voice", name) for name, _, _ in deployments]
    pods = [f"{name}-{template}-"[:58] + suffix for name, template, suffix in deployments]
    shares = split([series(pod) for pod in pods], SPEECH, subjects)
    for subject, pod in zip(subjects, pods, strict=True):
        assert pod in [each.labels["pod"] for each in shares[subject]]
        assert re.search(re.search(r'pod=~"(.*)"', SPEECH.selector(subjects))[1].replace("\\\\", "\\"), pod)
