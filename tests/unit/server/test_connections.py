"""Keep-alive connections end: after so many requests, at an age, and while draining."""

from __future__ import annotations

import asyncio

import pytest

from inference_server.api.connections import BoundedConnection, ConnectionLimits


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
