"""Bounded connections: requests and age of each, and the time that the head of a request may take.

A pod that left its Service still gets the requests of clients that keep their connection. So each connection ends
after a while, with `Connection: close` on an answer: the client opens the next one through the Service.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from inference_server.telemetry.accounting import App, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may carry before it is closed.

    Attributes:
        max_requests: then an answer closes it.
        max_age_s: the first answer after so long closes it.
        head_timeout_s: time from the connection, or from the first byte of a later request, to the end of the head.
    """

    max_requests: int = 100
    max_age_s: float = 60.0
    head_timeout_s: float = 10.0


class BoundedConnection:
    """The application as one connection sees it."""

    def __init__(
        self,
        app: App,
        limits: ConnectionLimits,
        draining: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._limits = limits
        self._draining = draining
        self._clock = clock
        self._opened_s = clock()
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the last one's answer carries `Connection: close`."""
        self._requests += 1

        async def closing_send(message: Message) -> None:
            if message["type"] == "http.response.start" and self._is_over():
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, closing_send)

    def _is_over(self) -> bool:
        return (
            self._draining()
            or self._requests >= self._limits.max_requests
            or self._clock() - self._opened_s >= self._limits.max_age_s
        )


def bounded_protocol(limits: ConnectionLimits, draining: Callable[[], bool]) -> type[H11Protocol]:
    """A uvicorn protocol whose connections are bounded."""

    class BoundedProtocol(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 uvicorn's own arguments
            super().__init__(*args, **kwargs)
            self.app = BoundedConnection(self.app, limits, draining)
            self._head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
            super().connection_made(transport)
            self._head_timer = self.loop.call_later(limits.head_timeout_s, transport.close)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            running: RequestResponseCycle | None = self.cycle
            if running is not None and not running.response_complete:
                self._stop_timer()
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(limits.head_timeout_s, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return BoundedProtocol
