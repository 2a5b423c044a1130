"""Counts every request for inference exactly once: received = completed + rejected + still inside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from inference_server.errors import Reason

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REJECTION = "rejection"
"""Key of the request's state under which the handler of refusals leaves the reason."""


class Ledger(Protocol):
    """Where the counts go."""

    def received(self, endpoint: str) -> None:
        """A request arrived."""

    def rejected(self, reason: Reason) -> None:
        """It ended without a result."""

    def completed(self, status: int, duration_s: float) -> None:
        """It was answered."""

    def phase(self, name: str, seconds: float) -> None:
        """It spent time in a phase."""


class Accounting:
    """ASGI middleware around the routes in `endpoints`; other paths pass unseen."""

    def __init__(self, app: App, ledger: Ledger, endpoints: frozenset[str]) -> None:
        self._app = app
        self._ledger = ledger
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] not in self._endpoints or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        entry = _Entry(self._ledger, receive, send)
        self._ledger.received(scope["path"])
        state: dict[str, Any] = scope.setdefault("state", {})
        try:
            await self._app(scope, entry.receive, entry.send)
        except (Exception, asyncio.CancelledError):  # cancelled where a drain lasts longer than it may
            entry.fail()
            raise
        finally:
            entry.close(state.get(REJECTION))


class _Entry:
    def __init__(self, ledger: Ledger, receive: Receive, send: Send) -> None:
        self._ledger = ledger
        self._receive = receive
        self._send = send
        self._begun_s = time.perf_counter()
        self._status = 0
        self._first_byte_s: float | None = None
        self._read = False
        self._sent = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body") and not self._read:
            self._read = True
            self._ledger.phase("read", time.perf_counter() - self._begun_s)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._first_byte_s = time.perf_counter()
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._sent = True

    def fail(self) -> None:
        """The server failed, perhaps in the middle of a stream."""
        self._status = 500
        self._sent = True

    def close(self, rejection: Reason | None) -> None:
        now_s = time.perf_counter()
        if self._first_byte_s is not None:
            self._ledger.phase("write", now_s - self._first_byte_s)
        if rejection is not None:
            self._ledger.rejected(rejection)
        else:
            stopped = self._status and not self._sent  # a listener who had heard enough: nothing that room would change
            self._ledger.completed(499 if stopped else self._status or 500, now_s - self._begun_s)
