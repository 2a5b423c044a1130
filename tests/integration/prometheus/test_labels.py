"""Series whose labels somebody changes, in a real Prometheus."""

import time
from itertools import pairwise

import pytest
from rig.processes import wait_for

from autoscaler.model import Fleet, Phase, Pod
from autoscaler.prometheus.client import Access, Prometheus
from autoscaler.prometheus.metrics import SPEECH, Subject
from autoscaler.prometheus.sharing import SharedQuery
from autoscaler.prometheus.source import PrometheusSignals, Wanted

pytestmark = pytest.mark.prometheus
COUNTED, RATE_RPS = 1e6, 20.0
"""Of each pod: what it has counted over days, and what comes now."""


def test_pods_that_get_another_label_bring_no_burst(prometheus, pods):
    began_s, zone = time.time(), ""
    names = [f"tts-bcd-bcdf{letter}" for letter in "gh"]
    for name in names:
        pods.pods["labels", name] = lambda: {
            f'speech_requests_received_total{{endpoint="/v1{path}"{zone}}}': COUNTED + RATE_RPS / 2 * passed
            for passed in [time.time() - began_s]
            for path in ("/speech", "/tts")
        }
    serving = Fleet(2, tuple(Pod(name, Phase.SERVING, began_s - 60, began_s - 50) for name in names))
    query = SharedQuery(Prometheus(Access(prometheus.url)), SPEECH)
    signals = PrometheusSignals([query], Wanted(Subject("labels", "tts"), scrape_interval_s=0.5))
    scrapes = []

    def read(until):
        after_s = scrapes[-1].at_s if scrapes else began_s - 5
        scrapes.extend(signals.read(after_s, time.time(), serving).scrapes)
        return len(scrapes) >= until

    wait_for("scrapes before", lambda: read(8))
    zone = ',zone="a"'
    changed = len(scrapes)
    wait_for("scrapes after", lambda: read(changed + 8))
    assert prometheus.query('speech_requests_received_total{namespace="labels",zone="a"}')
    known = [scrape for scrape in scrapes if isinstance(scrape.received, float)]
    rates = [(b.received - a.received) / (b.at_s - a.at_s) for a, b in pairwise(known[3:])]
    assert max(rates) < 5 * RATE_RPS * len(names)
    mean = (known[-1].received - known[3].received) / (known[-1].at_s - known[3].at_s)
    assert mean == pytest.approx(RATE_RPS * len(names), rel=0.25)
