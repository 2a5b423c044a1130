"""The gate in front of the routes: a place before the body is read, bounds on body and client, a deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from fastapi import Request

from inference_server.api.errors import refuse
from inference_server.api.turns import Turns
from inference_server.errors import (
    Refusal,
    abandoned,
    bad_request,
    body_cut_off,
    body_too_slow,
    deadline_passed,
    not_ready,
    queue_full,
)
from inference_server.serving.scheduler import Place
from inference_server.serving.service import AnyService, RequestLimits
from inference_server.telemetry.accounting import REJECTION, App, Message, Receive, Scope, Send

PLACE = "place"
DEADLINE_HEADER = b"x-request-timeout-s"


class Admission:
    """ASGI middleware around the routes in `endpoints`: only a request with a place is read."""

    def __init__(self, app: App, service: AnyService, endpoints: frozenset[str]) -> None:
        self._app = app
        self._service = service
        self._endpoints = endpoints
        self._turns = Turns()
        self._bodies = _Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] not in self._endpoints or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        limits = self._service.limits
        try:
            if self._service.lifecycle.state != "ready":
                raise not_ready()
            if int(dict(scope["headers"]).get(b"content-length", b"0")) > limits.max_body_bytes:
                raise _too_large(limits)
            place = self._service.scheduler.enter()
        except Refusal as refusal:
            await refuse(scope, refusal)(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        with place, _Exchange(receive, send, limits, self._bodies) as exchange:
            state[PLACE] = place
            await self._turns.take()
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except _Stalled:
                state[REJECTION] = "not_taken"


class _Stalled(Exception):
    """The client does not take its answer."""


@dataclass
class _Bodies:
    """Bytes of all bodies that are inside."""

    held_bytes: int = 0


class _Exchange:
    """The body and the answer of one admitted request: bounded in bytes, and in the time that the client may take."""

    def __init__(self, receive: Receive, send: Send, limits: RequestLimits, bodies: _Bodies) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._bodies = bodies
        self._read_bytes = 0
        self._read = False
        self._read_until_s = asyncio.get_running_loop().time() + limits.deadline_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bodies.held_bytes -= self._read_bytes

    async def receive(self) -> Message:
        if self._read:
            return await self._receive()  # tells that the client went; may take as long as the request does
        try:
            async with asyncio.timeout_at(self._read_until_s):
                message = await self._receive()
        except TimeoutError as error:
            raise body_too_slow(self._limits.deadline_s) from error
        if message["type"] == "http.disconnect":
            raise body_cut_off()
        self._read = not message.get("more_body", False)
        self._count(len(message.get("body", b"")))
        return message

    def _count(self, arrived_bytes: int) -> None:
        self._read_bytes += arrived_bytes
        self._bodies.held_bytes += arrived_bytes
        if self._read_bytes > self._limits.max_body_bytes:
            raise _too_large(self._limits)
        if self._bodies.held_bytes > self._limits.max_bodies_bytes:
            raise queue_full(retry_after_s=1)

    async def send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                await self._send(message)
        except TimeoutError as error:
            raise _Stalled from error


def _too_large(limits: RequestLimits) -> Refusal:
    message = f"the request body may have at most {limits.max_body_bytes} bytes"
    return Refusal(413, "too_long", message, code="request_too_large")


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
async def attending(request: Request, longest_s: float) -> AsyncGenerator[None]:
    """Wait for results as long as the client does and the deadline allows.

    Whatever is awaited inside is cancelled otherwise; leaving the request's place then withdraws what has not started.

    Raises:
        Refusal: the client went, or the deadline passed.
    """
    deadline_s = deadline_s_of(request, longest_s)
    loop = asyncio.get_running_loop()
    gone = asyncio.ensure_future(_client_gone(request))
    patience = asyncio.timeout_at(place_of(request).entered_s + deadline_s)  # the loop's clock is monotonic, too

    def lose(_: object) -> None:
        if waiting and not patience.expired():
            patience.reschedule(loop.time())

    waiting = True
    gone.add_done_callback(lose)
    try:
        async with patience:
            yield
    except TimeoutError as error:
        if not patience.expired():
            raise
        raise abandoned() if gone.done() else deadline_passed(deadline_s) from error
    finally:
        waiting = False
        gone.cancel()


async def _client_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
