"""How a worker that is told to end deals with a broker that may be away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FAREWELL_S = 3.0


async def not_beyond(stop: asyncio.Event, awaited: Awaitable[T]) -> T:
    """What is awaited from the broker, however long it takes, until the worker is told to end.

    Raises:
        TimeoutError: it was, and the broker did not answer for three more seconds.
    """
    answer = asyncio.ensure_future(awaited)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((answer, stopping), return_when=asyncio.FIRST_COMPLETED)
        return await asyncio.wait_for(answer, _FAREWELL_S)
    finally:
        stopping.cancel()
        answer.cancel()


async def take_leave(farewell: Callable[[], Awaitable[object]]) -> None:
    """Tell the broker that the worker ends; one that is away is not waited for, and nothing is left to fail."""
    leaving = asyncio.ensure_future(farewell())
    await asyncio.wait({leaving}, timeout=_FAREWELL_S)
    if not leaving.done():
        leaving.cancel()
    elif leaving.cancelled() or leaving.exception():  # aiokafka's `stop` is cancelled by itself while it backs off
        logger.warning("the broker was not told that the worker ends")
