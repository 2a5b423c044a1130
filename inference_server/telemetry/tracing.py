"""OpenTelemetry spans of requests, when an endpoint is configured by the standard environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


class Span(Protocol):
    """What a request's span takes."""

    def set_attribute(self, key: str, value: str | float) -> object:
        """Note something."""


class NoSpan:
    """Without tracing."""

    def set_attribute(self, key: str, value: str | float) -> None:
        """Nothing is noted."""


class Tracer(Protocol):
    """Makes the spans of requests."""

    def request(self, route: str, headers: Mapping[bytes, bytes]) -> AbstractContextManager[Span]:
        """The span of one request, child of the caller's."""


class NoTracer:
    """Without tracing."""

    def request(self, route: str, headers: Mapping[bytes, bytes]) -> AbstractContextManager[Span]:  # noqa: ARG002
        """A span that notes nothing."""
        return nullcontext(NoSpan())


class OpenTelemetryTracer:
    """Spans through the OpenTelemetry SDK.

    Args:
        service: resource attribute `service.name`.
        exporter: where spans go.
    """

    def __init__(self, service: str, exporter: SpanExporter) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("inference_server")
        self._propagator = TraceContextTextMapPropagator()

    def request(self, route: str, headers: Mapping[bytes, bytes]) -> AbstractContextManager[Span]:
        """A server span, child of the `traceparent` header's."""
        from opentelemetry.trace import SpanKind

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        parent = self._propagator.extract(carrier)
        return self._tracer.start_as_current_span(f"POST {route}", context=parent, kind=SpanKind.SERVER)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def tracer_from_environment(service: str) -> Tracer:
    """OTLP over HTTP if `OTEL_EXPORTER_OTLP_ENDPOINT` or `…_TRACES_ENDPOINT` is set; else none."""
    if not any(os.environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")):
        return NoTracer()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OpenTelemetryTracer(service, OTLPSpanExporter())
