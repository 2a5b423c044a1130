"""One log line, one usage record and one span for every request for inference."""

from __future__ import annotations

import logging
import time

from inference_server.telemetry.accounting import REJECTION, App, Message, Receive, Scope, Send
from inference_server.telemetry.context import RequestContext, current, read_context
from inference_server.telemetry.logs import USAGE
from inference_server.telemetry.tracing import Span, Tracer

usage = logging.getLogger(USAGE)

SUBJECT = "subject"
"""Key of the request's state under which the guard leaves whose token it was."""


class RequestTelemetry:
    """ASGI middleware around the routes in `endpoints`."""

    def __init__(self, app: App, endpoints: frozenset[str], model: str, tracer: Tracer) -> None:
        self._app = app
        self._endpoints = endpoints
        self._model = model
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its answer carries `X-Request-Id`."""
        if scope["type"] != "http" or scope["path"] not in self._endpoints or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        context = read_context(headers)
        status = 500
        begun_s = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer_id = (b"x-request-id", context.request_id.encode())
                message = {**message, "headers": [*message.get("headers", ()), answer_id]}
            await send(message)

        token = current.set(context)
        with self._tracer.request(scope["path"], headers) as span:
            try:
                await self._app(scope, receive, sending)
            finally:
                self._record(scope, status, time.perf_counter() - begun_s, context, span)
                current.reset(token)

    def _record(self, scope: Scope, status: int, duration_s: float, context: RequestContext, span: Span) -> None:
        state = scope.get("state", {})
        fields = {
            "subject": state.get(SUBJECT),
            "endpoint": scope["path"],
            "model": self._model,
            "status": status,
            "rejected": state.get(REJECTION),
            "duration_s": round(duration_s, 6),
            "audio_s": round(context.audio_s, 6),
            "characters": context.characters,
        }
        usage.info("request", extra={"fields": fields})
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("speech.audio_seconds", context.audio_s)
        span.set_attribute("speech.characters", context.characters)
