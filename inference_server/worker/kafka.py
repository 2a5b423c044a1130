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


def dead_topic(topic: str) -> str:
    """Where messages end that cannot be computed."""
    return f"{topic}.dead"


async def consume(
    servers: str, topic: str, group: str, *, process: Process, prefetch: int, stop: asyncio.Event
) -> None:
    """Work until `stop`; then finish what was begun.

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
            messages = [message for batch in batches.values() for message in batch]
            if not messages:
                continue
            await asyncio.gather(*(_settle(message, process, producer, topic) for message in messages))
            offsets = {partition: batch[-1].offset + 1 for partition, batch in batches.items()}
            try:
                await consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError) as error:  # a partition went to another member meanwhile
                logger.warning("not committed, it will come again: %s", error)


async def _settle(message: ConsumerRecord, process: Process, producer: AIOKafkaProducer, topic: str) -> None:
    """Returns when the message is done with: stored, or among the dead."""
    body, published_s = message.value, message.timestamp / 1000 if message.timestamp > 0 else None
    outcome = await process(body or b"", published_s)
    for attempt in range(1, _TRIES):
        if outcome.verdict != "retry":
            break
        logger.warning("again: %s", outcome.why)
        await asyncio.sleep(_BACK_OFF_S * attempt)
        outcome = await process(body or b"", published_s)
    if outcome.verdict in {"invalid", "retry"}:
        logger.error("dead letter: %s", outcome.why)
        await producer.send_and_wait(dead_topic(topic), body)
