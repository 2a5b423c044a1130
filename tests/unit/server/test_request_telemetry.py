"""One usage record, one span and one id for every request."""

from __future__ import annotations

import io
import json
import logging

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inference_server.api.app import make_app
from inference_server.engines.sleeper import Sleeper, SleeperSettings
from inference_server.serving.lifecycle import Lifecycle
from inference_server.serving.service import Service
from inference_server.telemetry.context import RequestContext, current, note_usage, read_context
from inference_server.telemetry.logs import USAGE, JsonFormatter
from inference_server.telemetry.metrics import Metrics
from inference_server.telemetry.tracing import NoTracer, OpenTelemetryTracer, tracer_from_environment

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACE_PARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        pytest.param({b"x-request-id": b"abc-1"}, "abc-1", id="the client's"),
        pytest.param({}, None, id="none"),
        pytest.param({b"x-request-id": b"a\nb"}, None, id="one that breaks a line"),
        pytest.param({b"x-request-id": b"x" * 65}, None, id="a long one"),
    ],
)
def test_a_request_id_is_the_clients_or_new(headers, kept) -> None:
    made = read_context(headers).request_id
    assert made == kept if kept else len(made) == 16


@pytest.mark.parametrize(
    ("sent", "trace_id"),
    [
        pytest.param(TRACE_PARENT.encode(), TRACE_ID, id="the caller's"),
        pytest.param(b"00-zz-zz-01", None, id="malformed"),
        pytest.param(b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", None, id="zeros"),
    ],
)
def test_a_trace_goes_on_or_begins(sent: bytes, trace_id: str | None) -> None:
    made = read_context({b"traceparent": sent}).trace_id
    assert made == trace_id if trace_id else (len(made) == 32 and made != "0" * 32)


def test_a_log_line_is_json_with_the_ids_of_its_request() -> None:
    token = current.set(RequestContext("r-1", TRACE_ID))
    try:
        record = logging.LogRecord("a.b", logging.INFO, "", 0, "said %s", ("this",), None)
        record.fields = {"subject": "alice"}
        line = json.loads(JsonFormatter().format(record))
    finally:
        current.reset(token)
    assert line["message"] == "said this"
    assert (line["level"], line["request_id"], line["trace_id"]) == ("info", "r-1", TRACE_ID)
    assert line["subject"] == "alice"


def test_outside_of_a_request_there_are_no_ids_and_nothing_is_noted() -> None:
    note_usage(audio_s=1.0)
    record = logging.LogRecord("a", logging.ERROR, "", 0, "two\nlines", (), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "request_id" not in json.loads(line)


@pytest.fixture
def usage_lines():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(USAGE)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_every_request_leaves_a_usage_record_and_a_span(usage_lines) -> None:
    exporter = InMemorySpanExporter()
    tracer = OpenTelemetryTracer("tts", exporter)
    service = Service(Sleeper(SleeperSettings(service_s=0.001)), Metrics("tts", []), Lifecycle(0.0))
    service.load()
    transport = httpx.ASGITransport(make_app(service, tracer=tracer))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as http:
        answer = await http.post("/v1/sleep", headers={"traceparent": TRACE_PARENT, "x-request-id": "r-7"})
        await http.post("/v1/sleep", json={"service_s": -1})
        await http.get("/healthz")
    tracer.close()
    assert answer.headers["x-request-id"] == "r-7"
    good, bad = usage_lines()
    assert (good["request_id"], good["trace_id"], good["status"], good["endpoint"]) == (
        "r-7",
        TRACE_ID,
        200,
        "/v1/sleep",
    )
    assert (bad["status"], bad["rejected"]) == (400, "bad_request")
    span = exporter.get_finished_spans()[0]
    assert span.name == "POST /v1/sleep"
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert f"{span.parent.span_id:016x}" == PARENT_ID
    assert span.attributes["http.response.status_code"] == 200


def test_without_configuration_nothing_is_traced(monkeypatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(tracer_from_environment("tts"), NoTracer)


def test_an_endpoint_in_the_environment_switches_tracing_on(monkeypatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    tracer = tracer_from_environment("tts")
    assert isinstance(tracer, OpenTelemetryTracer)
    tracer.close()
