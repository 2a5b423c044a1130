"""RabbitMQ: a quorum queue whose broker counts deliveries, and a queue of dead letters beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.connection import make_url

from inference_server.errors import InvalidOption
from inference_server.worker.leave import not_beyond, take_leave
from inference_server.worker.processor import Outcome

logger = logging.getLogger(__name__)

Process = Callable[[bytes, float | None], Awaitable[Outcome]]

DELIVERY_LIMIT = 5
_BACK_OFF_S = 1.0
_CONNECT_S = 10.0


def dead_queue(queue: str) -> str:
    """Where messages end that cannot be computed."""
    return f"{queue}.dead"


def queue_arguments(queue: str) -> dict[str, str | int]:
    """Replicated, at most five deliveries, then dead; dead letters are confirmed before they leave the queue."""
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_queue(queue),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def consume(url: str, queue: str, *, process: Process, prefetch: int, stop: asyncio.Event) -> None:
    """Work until `stop`; then finish what was begun, as far as the store is there.

    The connection is restored when it breaks; what was not acknowledged comes again.

    Args:
        url: `amqp://…`.
        queue: is made if it is not there.
        process: computes one message, given when it was published, and stores its result.
        prefetch: messages at the same time.
        stop: set to end.

    Raises:
        InvalidOption: the queue exists, and is not as this worker needs it.
        OSError: the broker cannot be reached at the start, or does not let the worker in.
    """
    running: set[asyncio.Task[None]] = set()

    async def begin(message: AbstractIncomingMessage) -> None:
        task = asyncio.create_task(_settle(message, process))
        running.add(task)
        task.add_done_callback(running.discard)

    async with AsyncExitStack() as stack:

        async def set_up() -> tuple[AbstractQueue, str]:
            connection = aio_pika.RobustConnection(make_url(url))
            stack.push_async_callback(take_leave, connection.close)  # first: it would go on connecting for ever
            await connection.connect(timeout=_CONNECT_S)
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=prefetch)
            await _declare(channel, dead_queue(queue), {"x-queue-type": "quorum"})
            declared = await _declare(channel, queue, queue_arguments(queue))
            return declared, await declared.consume(begin)

        try:
            declared, tag = await not_beyond(stop, set_up())
        except aio_pika.exceptions.AMQPException as error:
            raise OSError(f"RabbitMQ: {error}") from error
        await stop.wait()
        await take_leave(partial(declared.cancel, tag))
        await asyncio.gather(*running)


async def _declare(channel: AbstractChannel, queue: str, arguments: dict[str, str | int]) -> AbstractQueue:
    """A queue with these arguments, made if it is not there."""
    try:
        return await channel.declare_queue(queue, durable=True, arguments=dict(arguments))
    except aio_pika.exceptions.ChannelPreconditionFailed as error:
        # taken as it is, a task that kills its worker could come again for ever
        needed = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise InvalidOption(
            f"--queue: the broker has a queue {queue!r} of another kind; delete it, name another, or declare it durable"
            f" with {needed}; the broker says: {error}"
        ) from error


def published_s(message: AbstractIncomingMessage) -> float | None:
    """When a message was published, seconds since the epoch; None where nobody says.

    To the millisecond where the broker stamps messages (its interceptor `set_header_timestamp`), otherwise to the
    second, as AMQP has it, by the publisher.
    """
    stamp_ms = message.headers.get("timestamp_in_ms")
    if isinstance(stamp_ms, int):
        return stamp_ms / 1000
    return message.timestamp.timestamp() if message.timestamp else None


async def _settle(message: AbstractIncomingMessage, process: Process) -> None:
    outcome = await process(message.body, published_s(message))
    try:
        if outcome.verdict == "left":
            logger.warning("left to another worker: %s", outcome.why)  # the broker takes it back with the connection
        elif outcome.verdict == "retry":
            logger.warning("delivered again: %s", outcome.why)
            await asyncio.sleep(_BACK_OFF_S)
            await message.nack(requeue=True)
        elif outcome.verdict == "invalid":
            logger.error("dead letter: %s", outcome.why)
            await message.reject(requeue=False)
        else:
            await message.ack()
    except (aio_pika.exceptions.AMQPException, aio_pika.exceptions.ChannelInvalidStateError) as error:
        logger.warning("not acknowledged, it will come again: %s", error)
