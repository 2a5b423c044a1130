"""The past of a target, written into a real Prometheus and read back."""

import time

import numpy as np
import pytest
from rig import programs
from rig.prometheus import backfill, prometheus_server

from autoscaler.prometheus.client import Access, Prometheus
from autoscaler.prometheus.history import Grid, read_history
from autoscaler.prometheus.metrics import SPEECH, Subject

pytestmark = pytest.mark.prometheus

END_S = time.time() // 60 * 60 - 3600.0
"""A whole minute; Prometheus keeps nothing that is older than two weeks."""
MINUTES = 3 * 1440
NAME = "speech_requests_received_total"


def pods():
    """Pods of three days by name: (first minute, counts of each minute). One restarts, one ends, one joins."""
    random = np.random.default_rng(3)
    steady = random.poisson(30, MINUTES)
    return {
        "tts-bcd-bcdfg": (0, steady[:1000]),
        "tts-bcd-cdfgh": (0, steady),
        "tts-xz2-dfghj": (700, steady[: MINUTES - 700]),
    }


GAP = range(2000, 2030)
"""Nothing was scraped."""
RESTART = 1500
"""The second pod's counter began anew."""


def counters():
    """The value of each counter at each minute."""
    start_s = END_S - MINUTES * 60
    for pod, (first, counts) in pods().items():
        total, past = 0, []
        for minute, count in enumerate(counts, first):
            total = count if pod.endswith("cdfgh") and minute == RESTART else total + count
            if minute not in GAP:
                past.append((start_s + (minute + 1) * 60, total))
        yield f'{NAME}{{namespace="voice",pod="{pod}",job="speech"}}', past


@pytest.fixture(params=["2", "3"], ids=["prometheus-2", "prometheus-3"])
def backfilled(request, tmp_path):
    try:
        backfill(request.param, tmp_path, dict(counters()))
        with prometheus_server(request.param, tmp_path) as server:
            yield server
    except programs.Absent as missing:
        pytest.skip(f"needs Prometheus {request.param}: {missing}")


def test_three_days_are_read_back_minute_by_minute(backfilled):
    expected = np.zeros(MINUTES)
    for first, counts in pods().values():
        expected[first : first + len(counts)] += counts
    prometheus = Prometheus(Access(backfilled.url))
    grid = Grid.until(END_S, 14 * 86400.0)
    history = read_history(prometheus.query_range, SPEECH, Subject("voice", "tts"), grid=grid, ended=lambda: False)
    assert history.end_s == END_S
    assert len(history.counts) == MINUTES - 1
    minutes = np.arange(1, MINUTES)
    lost = (minutes >= GAP.start) & (minutes <= GAP.stop)
    exact = ~lost & (minutes != RESTART)
    assert history.counts[exact].tolist() == expected[1:][exact].tolist()
    assert history.known[exact].all()
    assert history.counts[RESTART - 1] == expected[RESTART]
    assert history.counts[lost].sum() == expected[1:][lost].sum()


def test_another_deployment_has_no_past_there(backfilled):
    prometheus = Prometheus(Access(backfilled.url))
    grid = Grid.until(END_S, 86400.0)
    assert read_history(prometheus.query_range, SPEECH, Subject("voice", "asr"), grid=grid, ended=lambda: False) is None
