"""Keep-alive connections end: after so many requests, at an age, and while draining."""

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


@contextlib.asynccontextmanager
async def listening(limits: ConnectionLimits) -> AsyncIterator[int]:
    config = uvicorn.Config(answers, log_config=None, ws="none", lifespan="off")
    config.load()
    protocol = bounded_protocol(limits, lambda: False)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        pytest.param(b"", 0, id="nothing at all"),
        pytest.param(REQUEST[:20], 0, id="half a head"),
        pytest.param(REQUEST + REQUEST[:20], 1, id="half of the next head"),
    ],
)
async def test_a_client_that_sends_no_head_is_left(sent: bytes, answered: int) -> None:
    async with listening(ConnectionLimits(head_timeout_s=0.2)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun_s = asyncio.get_running_loop().time()
        for byte in (sent[: len(sent) // 2], sent[len(sent) // 2 :]):
            writer.write(byte)
        async with asyncio.timeout(20):
            got = await reader.read()
        assert got.count(b"200 OK") == answered
        assert asyncio.get_running_loop().time() - begun_s >= 0.2
        writer.close()


async def test_a_connection_between_requests_is_kept() -> None:
    async with listening(ConnectionLimits(head_timeout_s=0.2)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 0.5)  # longer than the time for a head: not closed
        writer.close()
