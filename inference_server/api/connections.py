"""Bounded connections: requests and age of each, and what a client may owe of a request, in bytes and time.

A pod that left its Service still gets the requests of clients that keep their connection. So each connection ends
after a while, with `Connection: close` on an answer: the client opens the next one through the Service.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inference_server.telemetry.accounting import App, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may carry before it is closed.

    Attributes:
        max_requests: then an answer closes it.
        max_age_s: the first answer after so long closes it.
        head_timeout_s: time from the connection, or from the first byte of a later request, to the end of the head. So
            long the rest of a body may take, too, whose request was answered before it had come.
        max_head_bytes: of a request, and of whatever else is no body: trailers, extensions of chunks. What came in one
            piece with its beginning, at most 256 KB, does not count.
        max_pipelined: requests that wait for the answer to an earlier one on their connection.
    """

    max_requests: int = 100
    max_age_s: float = 60.0
    head_timeout_s: float = 10.0
    max_head_bytes: int = 64 << 10
    max_pipelined: int = 16


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


class _Http1Parser(httptools.HttpRequestParser):
    """Takes a request that offers another protocol for the HTTP/1.1 that it is.

    Java's client and `curl --http2` make such offers with every request in clear text. llhttp lets it end with its head
    and leaves the body to the other protocol; so the head is read again, without the offer.

    Args:
        protocol: is told of what was read, and knows the head.
    """

    def __init__(self, protocol: _BoundedProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does: the answer comes nevertheless

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # all that uvicorn feeds
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            super().feed_data(self._protocol.head_without_offer())
            self.feed_data(data[offer.args[0] :])


class _BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds: its parser alone bounds neither heads nor requests that wait."""

    def __init__(self, *args: Any, limits: ConnectionLimits, draining: Callable[[], bool], **kwargs: Any) -> None:  # noqa: ANN401 uvicorn's own arguments
        super().__init__(*args, **kwargs)
        self.app = BoundedConnection(self.app, limits, draining)
        self.parser = _Http1Parser(self)
        self._limits = limits
        self._overdue: asyncio.TimerHandle | None = None
        self._in_message = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._expect_more()

    def data_received(self, data: bytes) -> None:
        if not self._in_message:
            self._expect_more()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > self._limits.max_head_bytes:
            self.transport.abort()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self._limits.max_pipelined:
            self.transport.abort()
            raise OverflowError  # ends the parser, too
        super().on_message_begin()
        self._in_message = True
        self._head_bytes = 0
        self._expect_more()

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # the head comes again
        self._head_bytes = 0
        self._expect_nothing()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_message = False
        self._expect_nothing()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_message and self.cycle.response_complete:
            self._expect_more()  # nobody reads this body, so nobody else bounds its time

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def head_without_offer(self) -> bytes:
        """The head that was read last, as it was sent but for `Upgrade`.

        Raises:
            HttpParserInvalidMethodError: it asks for a tunnel.
        """
        method: bytes = self.parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserInvalidMethodError
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _expect_more(self) -> None:
        """Leave a client that does not send in time what it owes."""
        if self._overdue is None:
            self._overdue = self.loop.call_later(self._limits.head_timeout_s, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


def bounded_protocol(limits: ConnectionLimits, draining: Callable[[], bool]) -> Callable[..., _BoundedProtocol]:
    """What uvicorn makes its connections with."""
    return partial(_BoundedProtocol, limits=limits, draining=draining)
