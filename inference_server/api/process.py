"""The process that listens: start, signals, drain, exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from inference_server.allocator import keep_freed_memory
from inference_server.api.app import make_probes
from inference_server.api.connections import ConnectionLimits, bounded_protocol
from inference_server.serving.service import AnyService

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_BROKER_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""A broker that has just come up, or whose new queue has no leader yet, is asked again: the model is loaded already."""
_LASTED_S = 60.0
"""What went on for so long had the queue; what ends it is another outage."""


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """How the process ends after SIGTERM.

    Attributes:
        delay_s: goes on accepting for so long, while the pod leaves the Service everywhere; answers close connections.
        timeout_s: then finishes what is inside, for at most so long.
    """

    delay_s: float = 3.0
    timeout_s: float = 60.0


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # signals are ours: a drain begins with going on


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named: 40 ms a request otherwise
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    return listener


def serve(
    app: FastAPI, service: AnyService, listener: socket.socket, connections: ConnectionLimits, drain: DrainLimits
) -> int:
    """Load, serve until SIGTERM or SIGINT, drain. Returns the exit code: 0, or 1 when the model could not be loaded."""
    keep_freed_memory()
    return asyncio.run(_serve(app, service, listener, connections, drain))


def _config(app: FastAPI, **changes: Any) -> uvicorn.Config:  # noqa: ANN401 uvicorn's options
    fixed: dict[str, Any] = {
        "ws": "none",
        "loop": "asyncio",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # nothing here asks who the client is by address
        "backlog": _BACKLOG,
        "timeout_keep_alive": 75,
    }
    return uvicorn.Config(app, **fixed, **changes)


async def _serve(
    app: FastAPI, service: AnyService, listener: socket.socket, connections: ConnectionLimits, drain: DrainLimits
) -> int:
    lifecycle = service.lifecycle
    limited = bounded_protocol(connections, lambda: lifecycle.draining)
    server = _Server(_config(app, http=limited, timeout_graceful_shutdown=int(drain.timeout_s)))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    def interrupt() -> None:
        server.force_exit = server.should_exit  # the second time nothing is waited for
        stop()

    def begin_drain() -> None:
        if not lifecycle.draining:
            lifecycle.drain()
            loop.call_later(drain.delay_s, stop)

    loop.add_signal_handler(signal.SIGTERM, begin_drain)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    loading = service.load_in_background()
    loading.add_done_callback(lambda done: done.exception() and loop.call_soon_threadsafe(stop))
    await server.serve(sockets=[listener])
    return 1 if lifecycle.state == "failed" else 0


def work(service: AnyService, listener: socket.socket, consume: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Load, consume a queue until SIGTERM or SIGINT, finish what was begun; probes and metrics answer meanwhile.

    Returns:
        the exit code: 0, or 1 when the model could not be loaded or the broker not be reached.
    """
    keep_freed_memory()
    return asyncio.run(_work(service, listener, consume))


async def _work(
    service: AnyService, listener: socket.socket, consume: Callable[[asyncio.Event], Awaitable[None]]
) -> int:
    ended = asyncio.Event()

    def end() -> None:
        service.lifecycle.drain()
        ended.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    limited = bounded_protocol(ConnectionLimits(), lambda: service.lifecycle.draining)
    server = _Server(_config(make_probes(service), http=limited))
    probes = asyncio.create_task(server.serve(sockets=[listener]))
    loading = service.load_in_background()
    loaded = asyncio.Event()
    loading.add_done_callback(lambda _: loop.call_soon_threadsafe(loaded.set))
    waits = [asyncio.create_task(event.wait()) for event in (loaded, ended)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    try:
        if service.lifecycle.state == "ready":
            await _consume(consume, ended)
    except OSError as error:
        logger.error("the queue cannot be consumed: %s", error)  # noqa: TRY400 the message says it all
        return 1
    finally:
        for wait in waits:
            wait.cancel()
        server.should_exit = True
        await probes
    return 1 if service.lifecycle.state == "failed" else 0


async def _consume(consume: Callable[[asyncio.Event], Awaitable[None]], ended: asyncio.Event) -> None:
    """Consume; where the queue cannot be had, try again a few times. Each outage has its own.

    Raises:
        OSError: of the last attempt.
    """
    loop = asyncio.get_running_loop()
    pauses = iter(_BROKER_PAUSES_S)
    while True:
        begun_s = loop.time()
        try:
            await consume(ended)
        except OSError as error:
            if ended.is_set():
                return
            if loop.time() - begun_s > _LASTED_S:
                pauses = iter(_BROKER_PAUSES_S)
            if (pause_s := next(pauses, None)) is None:
                raise
            logger.warning("the queue cannot be consumed, again in %s s: %s", pause_s, error)
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), pause_s)
