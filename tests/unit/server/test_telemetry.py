"""Metrics, life cycle, accounts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from inference_server.serving.lifecycle import Lifecycle, process_started_s
from inference_server.serving.load import Load, TimeIntegral
from inference_server.telemetry.accounting import REJECTION, Accounting
from inference_server.telemetry.metrics import Metrics, latency_edges_s

IDLE = Load(in_flight=3, queued=2, oldest_wait_s=1.5, slots=1, slots_busy=1, in_flight_s=12.5, busy_s=7.25)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def of(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset({"service": "tts", **labels}.items())]


def test_every_objective_is_a_bucket_edge() -> None:
    edges = latency_edges_s([0.8, 0.333])
    assert {0.8, 0.333} <= set(edges)
    assert list(edges) == sorted(set(edges))


def test_the_signals_have_the_names_that_the_default_queries_ask_for() -> None:
    now = [1000.0]
    lifecycle = Lifecycle(990.0, lambda: now[0])
    metrics = Metrics("tts", [0.8])
    metrics.watch(lifecycle, lambda: IDLE, {"version": "1", "model": "m", "device": "cpu"})
    with lifecycle.phase("weights"):
        now[0] += 4
    lifecycle.loaded()
    metrics.received("/v1/audio/speech")
    metrics.admitted()
    metrics.rejected("queue_full")
    metrics.completed(200, 0.79)
    metrics.completed(200, 0.81)
    metrics.input_characters(12)
    metrics.batch_done([1.0, 2.0], [0.1, 0.2], 0.5)
    metrics.served(0.5)

    assert of(metrics, "speech_requests_received_total", endpoint="/v1/audio/speech") == 1
    assert of(metrics, "speech_requests_admitted_total") == 1
    assert of(metrics, "speech_requests_rejected_total", reason="queue_full") == 1
    assert of(metrics, "speech_requests_completed_total", code="200") == 2
    assert of(metrics, "speech_requests_in_flight") == 3
    assert of(metrics, "speech_queue_depth") == 2
    assert of(metrics, "speech_queue_seconds_waiting") == 1.5
    assert of(metrics, "speech_input_characters_total") == 12
    assert of(metrics, "speech_input_audio_seconds_total") == 0
    assert of(metrics, "speech_phase_seconds_sum", phase="queue") == pytest.approx(0.3)
    assert of(metrics, "speech_phase_seconds_count", phase="model") == 2
    assert of(metrics, "speech_request_duration_seconds_bucket", le="0.8") == 1
    assert of(metrics, "speech_service_seconds_sum") == 0.5
    assert of(metrics, "speech_queue_integral_seconds_total") == 12.5
    assert of(metrics, "speech_busy_seconds_total") == 7.25
    assert of(metrics, "speech_batch_size_bucket", le="2.0") == 1
    assert of(metrics, "speech_batch_padding_ratio_sum") == pytest.approx(4 / 3)
    assert of(metrics, "speech_slots") == of(metrics, "speech_slots_busy") == 1
    assert of(metrics, "speech_model_load_phase_seconds", phase="interpreter") == 10
    assert of(metrics, "speech_model_load_phase_seconds", phase="weights") == 4
    assert of(metrics, "speech_model_ready") == 1
    assert of(metrics, "speech_ready_time_seconds") - of(metrics, "speech_process_start_time_seconds") == 14
    assert of(metrics, "speech_draining") == 0
    build = {"version": "1", "model": "m", "device": "cpu"}
    assert samples(metrics)["speech_build_info", frozenset(build.items())] == 1


def test_the_phases_of_a_start_add_up_to_the_cold_start() -> None:
    now = [100.0]
    lifecycle = Lifecycle(97.0, lambda: now[0])
    for name, seconds in [("import", 2.0), ("weights", 5.0), ("import", 1.0)]:
        with lifecycle.phase(name):
            now[0] += seconds
    lifecycle.loaded()
    assert lifecycle.phases_s() == {"interpreter": 3.0, "import": 3.0, "weights": 5.0}
    assert sum(lifecycle.phases_s().values()) == lifecycle.ready_s - lifecycle.started_s


def test_the_start_of_the_process_is_the_kernels() -> None:
    assert process_started_s() == pytest.approx(psutil.Process(os.getpid()).create_time(), abs=1.0)
    assert process_started_s() < time.time()


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(-3, 3)), max_size=30))
def test_an_integral_is_the_sum_of_level_times_duration(steps: list[tuple[float, int]]) -> None:
    now = [0.0]
    integral = TimeIntegral(lambda: now[0])
    expected, level = 0.0, 0
    for duration_s, change in steps:
        now[0] += duration_s
        expected += level * duration_s
        level += change
        integral.add(change)
    assert integral.area() == pytest.approx(expected)


@dataclass
class Ledger:
    entries: list[tuple[str, object]] = field(default_factory=list)

    def received(self, endpoint) -> None:
        self.entries.append(("received", endpoint))

    def rejected(self, reason) -> None:
        self.entries.append(("rejected", reason))

    def completed(self, status, duration_s) -> None:
        self.entries.append(("completed", status))

    def phase(self, name, seconds) -> None: ...


async def answers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


async def refuses(scope, receive, send):
    scope["state"][REJECTION] = "queue_full"
    await send({"type": "http.response.start", "status": 503, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def fails(scope, receive, send):
    raise ZeroDivisionError


async def stops_in_the_middle(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x", "more_body": True})


async def is_cancelled(scope, receive, send):
    await stops_in_the_middle(scope, receive, send)
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("app", "method", "path", "entries"),
    [
        pytest.param(answers, "POST", "/a", [("received", "/a"), ("completed", 200)], id="an answer is completed"),
        pytest.param(refuses, "POST", "/a", [("received", "/a"), ("rejected", "queue_full")], id="a refusal rejected"),
        pytest.param(fails, "POST", "/a", [("received", "/a"), ("completed", 500)], id="a failure completed with 500"),
        pytest.param(
            stops_in_the_middle, "POST", "/a", [("received", "/a"), ("completed", 499)], id="a stream that was stopped"
        ),
        pytest.param(is_cancelled, "POST", "/a", [("received", "/a"), ("completed", 500)], id="a stream that was cut"),
        pytest.param(answers, "GET", "/a", [], id="other methods are not inference"),
        pytest.param(answers, "POST", "/b", [], id="other paths are not inference"),
    ],
)
def test_every_request_ends_exactly_once(app, method, path, entries) -> None:
    ledger = Ledger()

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message): ...

    async def run() -> None:
        scope = {"type": "http", "method": method, "path": path, "state": {}}
        with contextlib.suppress(ZeroDivisionError, asyncio.CancelledError):
            await Accounting(app, ledger, frozenset({"/a"}))(scope, receive, send)

    asyncio.run(run())
    assert ledger.entries == entries
