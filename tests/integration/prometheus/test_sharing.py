"""Many targets, one Prometheus: how many questions it is asked, counted by itself."""

import threading
import time

import pytest
from rig.exporter import steady
from rig.processes import wait_for
from rig.web import Reply, website

from autoscaler.model import Cause, Fleet, Phase, Pod
from autoscaler.prometheus.client import Access, Prometheus
from autoscaler.prometheus.metrics import DCGM, SPEECH, Subject
from autoscaler.prometheus.sharing import SharedQuery
from autoscaler.prometheus.source import PrometheusSignals, Wanted

pytestmark = pytest.mark.prometheus
CYCLES = 3


def asked(prometheus):
    """Instant queries that were answered; the one that reads it is not yet among them."""
    text = prometheus.text("/metrics")
    counts = [line for line in text.splitlines() if line.startswith("prometheus_http_requests_total")]
    return sum(float(line.split()[-1]) for line in counts if 'handler="/api/v1/query"' in line)


class Targets:
    """Deployments of two pods each, and what is read of them."""

    def __init__(self, prometheus, pods, namespaces):
        self.queries = [SharedQuery(Prometheus(Access(prometheus.url)), exporter) for exporter in (SPEECH, DCGM)]
        self.began_s = time.time()
        self.names = {}
        for number, namespace in enumerate(namespaces):
            subject = Subject(namespace, f"tts-{number}")
            self.names[subject] = [f"{subject.deployment}-bcd-{last}" for last in ("bcdfg", "cdfgh")]
            for pod in self.names[subject]:
                pods.pods[namespace, pod] = steady(1.0 + number)
        for query in self.queries:
            query.serve(list(self.names))
        self.signals = {
            subject: PrometheusSignals(self.queries, Wanted(subject, scrape_interval_s=0.5)) for subject in self.names
        }
        self.seen_s = dict.fromkeys(self.names, self.began_s - 10.0)

    def tick(self):
        """What each reads."""
        found = {}
        for subject, source in self.signals.items():
            serving = tuple(
                Pod(pod, Phase.SERVING, self.began_s - 60, self.began_s - 50) for pod in self.names[subject]
            )
            found[subject] = source.read(self.seen_s[subject], time.time(), Fleet(2, serving))
            if found[subject].scrapes:
                self.seen_s[subject] = found[subject].scrapes[-1].at_s
        return found


def scraped(prometheus, namespaces):
    pattern = "|".join(sorted(set(namespaces)))
    question = f'count(count_over_time(speech_requests_received_total{{namespace=~"{pattern}"}}[1m]) >= 4)'
    wait_for("some scrapes", lambda: (found := prometheus.query(question)) and int(found[0]["value"][1]) >= 2)


@pytest.mark.parametrize("count", [1, 10, 25])
def test_questions_grow_with_what_is_asked_and_not_with_the_targets(count, prometheus, pods):
    namespaces = [f"shared-{count}-{number % 3}" for number in range(count)]
    targets = Targets(prometheus, pods, namespaces)
    wait_for(
        "all to be scraped",
        lambda: {problem for read in targets.tick().values() for problem in read.problems} == set(),
    )
    before = asked(prometheus)
    received = []
    for _ in range(CYCLES):
        due_s = time.monotonic() + 1.0
        wait_for("the next scrape", lambda due_s=due_s: time.monotonic() > due_s)
        received.append({subject: read.scrapes for subject, read in targets.tick().items()})
    assert asked(prometheus) - before == 2 * CYCLES
    for number, subject in enumerate(targets.names):
        first, last = received[0][subject][0], received[-1][subject][-1]
        rate_rps = (last.received - first.received) / (last.at_s - first.at_s)
        assert rate_rps == pytest.approx(2 * (1.0 + number), rel=0.15)


def test_a_target_without_series_is_absent_among_others_that_have_theirs(prometheus, pods):
    targets = Targets(prometheus, pods, ["lonely", "lonely"])
    gone = Subject("lonely", "tts-1")
    for pod in targets.names[gone]:
        del pods.pods["lonely", pod]
    wait_for(
        "the other to be scraped",
        lambda: [len(read.problems) for read in targets.tick().values()] == [0, 1],
    )
    [problem] = targets.tick()[gone].problems
    assert (problem.signal, problem.missing.cause) == ("received", Cause.ABSENT)


def test_who_leaves_and_who_joins(prometheus, pods):
    targets = Targets(prometheus, pods, ["joining"] * 3)
    first, second, third = targets.names
    wait_for("all to be scraped", lambda: not any(read.problems for read in targets.tick().values()))
    for query in targets.queries:
        query.serve([first, third])
    del targets.signals[second]
    before = asked(prometheus)
    targets.tick()
    assert asked(prometheus) - before == 2
    for query in targets.queries:
        query.serve([first, second, third])
    targets.signals[second] = PrometheusSignals(targets.queries, Wanted(second, scrape_interval_s=0.5))
    assert not any(read.problems for read in targets.tick().values())


FAULTS = {
    "hangs": (lambda over: Reply(status=200 if over.wait(30) else 500), "timed out"),
    "fails": (lambda _: Reply(b"", status=503), "HTTP 503"),
    "is a login page": (lambda _: Reply(b"<html>", headers={"Content-Type": "text/html"}), "instead of JSON"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_prometheus_that_hangs_is_waited_for_once_and_said_of_each(fault):
    answer, said = FAULTS[fault]
    over = threading.Event()
    subjects = [Subject("voice", f"tts-{number}") for number in range(20)]
    with website(lambda _: answer(over)) as site:
        query = SharedQuery(Prometheus(Access(site.url, timeout_s=0.5)), SPEECH)
        query.serve(subjects)
        now_s = time.time()
        for subject in subjects:
            fleet = Fleet(1, (Pod(f"{subject.deployment}-bcd-bcdfg", Phase.SERVING, now_s - 60, now_s - 50),))
            found = PrometheusSignals([query], Wanted(subject)).read(now_s - 30, now_s, fleet)
            [problem] = found.problems
            assert (problem.signal, problem.missing.cause) == ("received", Cause.UNREACHABLE)
            assert said in problem.missing.detail
            assert found.scrapes == ()
        # On a starved machine the site takes note of a question after its asker has given up.
        wait_for("the question", lambda: site.asked)
        assert len(site.asked) == 1
        over.set()
