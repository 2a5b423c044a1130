"""The gate in front of the routes: a place before the body is read, a bound on the body, a deadline."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request

from inference_server.api.errors import refuse
from inference_server.api.turns import Turns
from inference_server.errors import Refusal, abandoned, bad_request, deadline_passed, not_ready
from inference_server.serving.scheduler import Place
from inference_server.serving.service import AnyService
from inference_server.telemetry.accounting import App, Message, Receive, Scope, Send

T = TypeVar("T")

PLACE = "place"
DEADLINE_HEADER = b"x-request-timeout-s"


class Admission:
    """ASGI middleware around the routes in `endpoints`: only a request with a place is read."""

    def __init__(self, app: App, service: AnyService, endpoints: frozenset[str]) -> None:
        self._app = app
        self._service = service
        self._endpoints = endpoints
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] not in self._endpoints or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            if self._service.lifecycle.state != "ready":
                raise not_ready()
            bounded = _bounded(receive, dict(scope["headers"]), self._service.limits.max_body_bytes)
            place = self._service.scheduler.enter()
        except Refusal as refusal:
            await refuse(scope, refusal)(scope, receive, send)
            return
        with place:
            scope.setdefault("state", {})[PLACE] = place
            await self._turns.take()
            await self._app(scope, bounded, send)


def _bounded(receive: Receive, headers: dict[bytes, bytes], max_bytes: int) -> Receive:
    too_large = Refusal(
        413, "too_long", f"the request body may have at most {max_bytes} bytes", code="request_too_large"
    )
    if int(headers.get(b"content-length", b"0")) > max_bytes:
        raise too_large
    read_bytes = 0

    async def bounded() -> Message:
        nonlocal read_bytes
        message = await receive()
        read_bytes += len(message.get("body", b""))
        if read_bytes > max_bytes:
            raise too_large
        return message

    return bounded


def place_of(request: Request) -> Place[Any, Any]:
    """The place that the gate took for this request."""
    place: Place[Any, Any] = request.scope["state"][PLACE]
    return place


def deadline_s_of(request: Request, longest_s: float) -> float:
    """Seconds from arrival to result: the server's bound, or less where `X-Request-Timeout-S` asks for less.

    Raises:
        Refusal: the header is no positive number.
    """
    raw = request.headers.get(DEADLINE_HEADER.decode())
    if raw is None:
        return longest_s
    try:
        asked_s = float(raw)
    except ValueError:
        asked_s = math.nan
    if not asked_s > 0:
        raise bad_request("X-Request-Timeout-S: must be a number of seconds above 0", param="X-Request-Timeout-S")
    return min(asked_s, longest_s)


@asynccontextmanager
async def attending(request: Request, longest_s: float) -> AsyncGenerator[Callable[[Future[T]], Awaitable[T]]]:
    """Wait for results as long as the client does and the deadline allows.

    Yields:
        a function that awaits one future. It raises `Refusal` when the client goes or the deadline passes; leaving the
        request's place then withdraws what has not started.
    """
    deadline_s = deadline_s_of(request, longest_s)
    entered_s = place_of(request).entered_s
    gone = asyncio.ensure_future(_client_gone(request))

    async def wait(future: Future[T]) -> T:
        result: asyncio.Future[T] = asyncio.wrap_future(future)
        left_s = max(0.0, deadline_s - (time.monotonic() - entered_s))
        done, _ = await asyncio.wait((result, gone), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        result.cancel()
        raise abandoned() if gone in done else deadline_passed(deadline_s)

    try:
        yield wait
    finally:
        gone.cancel()


async def _client_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
