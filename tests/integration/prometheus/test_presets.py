"""Servers that are not ours: what a real Prometheus scraped of them in the words of the core."""

import time

import pytest
from rig.processes import wait_for

from autoscaler.model import Fleet, Phase, Pod
from autoscaler.prometheus.client import Access, Prometheus
from autoscaler.prometheus.metrics import PRESETS, Subject
from autoscaler.prometheus.sharing import SharedQuery
from autoscaler.prometheus.source import PrometheusSignals, Wanted

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

EXPORTED = {
    "vllm": {
        "vllm:request_success_total": (10.0, 0.0),
        "vllm:e2e_request_latency_seconds_count": (10.0, 0.0),
        "vllm:request_inference_time_seconds_sum": (2.0, 0.0),
        "vllm:num_requests_waiting": (0.0, 3.0),
        "vllm:num_requests_running": (0.0, 2.0),
    },
    "triton": {
        "nv_inference_request_success": (10.0, 0.0),
        "nv_inference_count": (10.0, 0.0),
        "nv_inference_request_failure": (0.0, 1.0),
        "nv_inference_compute_infer_duration_us": (2e6, 0.0),
        "nv_inference_pending_request_count": (0.0, 3.0),
    },
    "torchserve": {
        "ts_inference_requests_total": (10.0, 0.0),
        "Requests2XX": (10.0, 0.0),
        "Requests5XX": (0.0, 1.0),
        "ts_inference_latency_microseconds": (2e6, 0.0),
    },
}
"""By preset and metric: growth a second, and what it begins with."""
POD = "tts-bcd-bcdfg"


@pytest.mark.parametrize("preset", EXPORTED)
def test_rate_and_service_time_of_another_server(preset, prometheus, pods):
    began_s, exported = time.time(), EXPORTED[preset]
    pods.pods[preset, POD] = lambda: {
        name: first + growth * (time.time() - began_s) for name, (growth, first) in exported.items()
    }
    counter = next(metric.name for metric in PRESETS[preset].metrics if metric.signal == "received")
    seen = f'count_over_time({{__name__="{counter}",namespace="{preset}"}}[1m]) >= 6'
    wait_for("some scrapes", lambda: prometheus.query(seen))
    query = SharedQuery(Prometheus(Access(prometheus.url)), PRESETS[preset])
    signals = PrometheusSignals([query], Wanted(Subject(preset, "tts"), scrape_interval_s=0.5))
    now_s = time.time()
    read = signals.read(now_s - 10.0, now_s, Fleet(1, (Pod(POD, Phase.SERVING, began_s - 60, began_s - 50),)))
    assert read.problems == ()
    first, last = read.scrapes[0], read.scrapes[-1]
    rate_rps = (last.received - first.received) / (last.at_s - first.at_s)
    assert rate_rps == pytest.approx(10.0, rel=0.1)
    assert (last.service_s - first.service_s) / (last.completed - first.completed) == pytest.approx(0.2, rel=0.02)
    if preset != "torchserve":
        assert last.queued == 3.0


def test_every_preset_counts_arrivals_and_can_measure_the_service(prometheus):
    for exporter in PRESETS.values():
        assert {"received", "completed", "service_s"} <= {metric.signal for metric in exporter.metrics}
        assert len({(metric.name, metric.only) for metric in exporter.metrics}) == len(exporter.metrics)
