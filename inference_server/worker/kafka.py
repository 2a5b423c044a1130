"""Kafka: a consumer group that commits an offset only when everything before it is stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError

from inference_server.worker.processor import Outcome

logger = logging.getLogger(__name__)

Process = Callable[[bytes, float | None], Awaitable[Outcome]]

_TRIES = 5
_BACK_OFF_S = 1.0
_POLL_MS = 200
_SESSION_MS = 6000
"""After so long the partitions of a member that died go to the others; the broker's own lower bound."""
_NO_LIMIT_MS = 2**31 - 1
"""Between two polls. A worker that waits for its store does not poll, and after the usual five minutes its partitions
would go to others that wait as it does. One that hangs fails its liveness probe, one that is dead ends its session."""


def dead_topic(topic: str) -> str:
    """Where messages end that cannot be computed."""
    return f"{topic}.dead"


async def consume(
    servers: str, topic: str, group: str, *, process: Process, prefetch: int, stop: asyncio.Event
) -> None:
    """Work until `stop`; then finish what was begun, as far as the store is there.

    Args:
        servers: `host:port[,host:port]`.
        topic: to read.
        group: consumer group; its members share the partitions.
        process: computes one message, given when it was published, and stores its result; Kafka does not count
            deliveries, so it must.
        prefetch: messages at the same time.
        stop: set to end.

    Raises:
        OSError: the broker cannot be reached at the start.
    """
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=prefetch,
        session_timeout_ms=_SESSION_MS,
        heartbeat_interval_ms=_SESSION_MS // 3,
        max_poll_interval_ms=_NO_LIMIT_MS,
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    async with AsyncExitStack() as stack:
        for client in (consumer, producer):
            stack.push_async_callback(client.stop)
            try:
                await client.start()
            except KafkaConnectionError as error:
                raise OSError(f"Kafka at {servers} cannot be reached: {error}") from error
        while not stop.is_set():
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=prefetch)
            if not batches:
                continue
            settling = (_settle_all(batch, process, producer, topic) for batch in batches.values())
            offsets = dict(zip(batches, await asyncio.gather(*settling), strict=True))
            try:
                await consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError) as error:  # a partition went to another member meanwhile
                logger.warning("not committed, it will come again: %s", error)


async def _settle_all(batch: list[ConsumerRecord], process: Process, producer: AIOKafkaProducer, topic: str) -> int:
    """Settles the messages of one partition; returns the offset of the first that is not done with."""
    done = await asyncio.gather(*(_settle(message, process, producer, topic) for message in batch))
    left: list[int] = [message.offset for message, is_done in zip(batch, done, strict=True) if not is_done]
    return left[0] if left else int(batch[-1].offset) + 1


async def _settle(message: ConsumerRecord, process: Process, producer: AIOKafkaProducer, topic: str) -> bool:
    """Whether the message is done with, stored or among the dead; otherwise the worker ends."""
    body, published_s = message.value, message.timestamp / 1000 if message.timestamp > 0 else None
    outcome = await process(body or b"", published_s)
    for attempt in range(1, _TRIES):
        if outcome.verdict != "retry":
            break
        logger.warning("again: %s", outcome.why)
        await asyncio.sleep(_BACK_OFF_S * attempt)
        outcome = await process(body or b"", published_s)
    if outcome.verdict == "left":
        logger.warning("left to another worker: %s", outcome.why)
        return False
    if outcome.verdict in {"invalid", "retry"}:
        logger.error("dead letter: %s", outcome.why)
        await producer.send_and_wait(dead_topic(topic), body)
    return True
