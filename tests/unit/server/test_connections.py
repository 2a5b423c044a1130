"""Connections end: after so many requests, at an age, while draining, and when a client owes too much of a request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import uvicorn
from uvicorn.server import ServerState

from inference_server.api.connections import BoundedConnection, ConnectionLimits, bounded_protocol


async def answers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
    await send({"type": "http.response.body", "body": b""})


def closes(connection: BoundedConnection) -> bool:
    sent = []

    async def run() -> None:
        async def send(message) -> None:
            sent.append(message)

        await connection({"type": "http"}, None, send)

    asyncio.run(run())
    assert (b"x-a", b"1") in sent[0]["headers"]
    return (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize("most", [1, 3])
def test_the_last_of_so_many_requests_closes(most: int) -> None:
    connection = BoundedConnection(answers, ConnectionLimits(max_requests=most), lambda: False)
    assert [closes(connection) for _ in range(most)] == [False] * (most - 1) + [True]


def test_an_old_connection_closes() -> None:
    now = [0.0]
    connection = BoundedConnection(answers, ConnectionLimits(max_age_s=60), lambda: False, lambda: now[0])
    assert not closes(connection)
    now[0] = 59.9
    assert not closes(connection)
    now[0] = 60.0
    assert closes(connection)


def test_every_connection_closes_while_draining() -> None:
    draining = [False]
    connection = BoundedConnection(answers, ConnectionLimits(), lambda: draining[0])
    assert not closes(connection)
    draining[0] = True
    assert closes(connection)


async def answers_to_what_it_read(scope, receive, send):
    read_bytes, more = 0, True
    while more:
        message = await receive()
        read_bytes += len(message["body"])
        more = message["more_body"]
    body = f"read {read_bytes}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def never_answers(scope, receive, send):
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def listening(limits: ConnectionLimits, app=answers) -> AsyncIterator[int]:
    config = uvicorn.Config(app, log_config=None, ws="none", lifespan="off")
    config.load()
    protocol = bounded_protocol(limits, lambda: False)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in state.tasks:
            task.cancel()
        for connection in list(state.connections):
            connection.transport.abort()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


@pytest.mark.parametrize(
    ("first", "more"),
    [
        pytest.param(b"", b"", id="nothing at all"),
        pytest.param(b"", REQUEST[:20], id="half a head"),
        pytest.param(REQUEST, REQUEST[:20], id="half of the next head"),
        pytest.param(REQUEST, b"\r\n", id="a blank line for the next head"),
        pytest.param(UPLOAD, b"12345", id="half of a body that was answered unread"),
    ],
)
async def test_a_client_that_does_not_go_on_is_left(first: bytes, more: bytes) -> None:
    async with listening(ConnectionLimits(head_timeout_s=0.2)) as port:
        begun_s = asyncio.get_running_loop().time()  # before the server can begin to count
        async with connected(port) as (reader, writer):
            writer.write(first)
            if first:
                await reader.readuntil(b"0\r\n\r\n")
            writer.write(more)
            assert await reader.read() == b""
            assert asyncio.get_running_loop().time() - begun_s >= 0.2


@pytest.mark.parametrize(
    ("sent", "rest"),
    [
        pytest.param(REQUEST, b"", id="between requests"),
        pytest.param(UPLOAD, b"1234567890", id="after the rest of a body that was answered unread"),
    ],
)
async def test_a_connection_whose_client_owes_nothing_is_kept(sent: bytes, rest: bytes) -> None:
    async with listening(ConnectionLimits(head_timeout_s=0.2)) as port, connected(port) as (reader, writer):
        writer.write(sent)
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(rest)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 0.5)  # longer than the time for what is owed: not closed
        writer.write(REQUEST)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        pytest.param(b"GET /", b"a" * 1000, id="an address"),
        pytest.param(b"GET / HTTP/1.1\r\nX-A: ", b"a" * 1000, id="one header"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"X-A: a\r\n" * 100, id="headers"),
        pytest.param(CHUNKED + b"0\r\n", b"X-A: a\r\n" * 100, id="trailers"),
        pytest.param(CHUNKED + b"0\r\nX-A: ", b"a" * 1000, id="one trailer"),
        pytest.param(CHUNKED + b"1;x=", b"a" * 1000, id="an extension of a chunk"),
        pytest.param(b"", b"\r\n" * 100, id="blank lines"),
    ],
)
async def test_what_is_no_body_is_bounded(beginning: bytes, more: bytes) -> None:
    limits = ConnectionLimits(head_timeout_s=60.0, max_head_bytes=20_000)
    async with listening(limits, answers_to_what_it_read) as port, connected(port) as (reader, writer):
        writer.write(beginning)
        sent, most = 0, 20_000_000  # what sockets hold, and more
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof() and sent < most:
                writer.write(more)
                sent += len(more)
                await writer.drain()
                await asyncio.sleep(0)
        assert sent < most


@pytest.mark.parametrize(("sent", "is_left"), [(4, False), (5, True)])
async def test_requests_that_wait_for_an_earlier_answer_are_bounded(sent: int, *, is_left: bool) -> None:
    limits = ConnectionLimits(max_pipelined=3)
    async with listening(limits, never_answers) as port, connected(port) as (reader, writer):
        writer.write(REQUEST * sent)
        left = asyncio.create_task(reader.read())
        done, _ = await asyncio.wait({left}, timeout=20 if is_left else 0.3)
        assert bool(done) == is_left
        left.cancel()
        await asyncio.wait({left})


async def test_requests_sent_at_once_are_answered_in_turn() -> None:
    async with listening(ConnectionLimits(), answers_to_what_it_read) as port, connected(port) as (reader, writer):
        writer.write(UPLOAD + b"1234567890" + CHUNKED + b"0\r\n\r\n" + REQUEST)
        answers = [await reader.readuntil(b"0\r\n\r\n") for _ in range(3)]
        assert [answer.partition(b"read ")[2].split()[0] for answer in answers] == [b"10", b"1", b"0"]


async def test_a_client_that_offers_http_2_is_served_as_it_asked() -> None:
    """Java's client and `curl --http2` offer the upgrade with their requests in clear text."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    offering = UPLOAD.replace(b"Content-Length", offer + b"Content-Length")
    async with listening(ConnectionLimits(), answers_to_what_it_read) as port, connected(port) as (reader, writer):
        for head in (offering, UPLOAD, offering):
            writer.write(head + b"12345")
            await asyncio.sleep(0)
            writer.write(b"67890")
            assert b"read 10" in await reader.readuntil(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"no HTTP\r\n\r\n", id="rubbish"),
        pytest.param(b"CONNECT here:1 HTTP/1.1\r\nHost: here\r\n\r\n", id="a tunnel"),
        pytest.param(UPLOAD.replace(b"10", b"10\r\nTransfer-Encoding: chunked"), id="two lengths"),
        pytest.param(UPLOAD.replace(b"10", b"-10"), id="a negative length"),
        pytest.param(REQUEST.replace(b"/ ", b"/\xff "), id="an address that is not ASCII"),
        pytest.param(REQUEST.replace(b"here", b"he\0re"), id="a zero byte"),
    ],
)
async def test_what_is_no_http_is_answered_400_and_left(sent: bytes) -> None:
    async with listening(ConnectionLimits(), answers_to_what_it_read) as port, connected(port) as (reader, writer):
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
