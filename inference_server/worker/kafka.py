"""Kafka: a consumer group that commits an offset only when everything before it is stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack, suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from inference_server.worker.leave import not_beyond, take_leave
from inference_server.worker.processor import Outcome

logger = logging.getLogger(__name__)

Process = Callable[[bytes, float | None], Awaitable[Outcome]]
Bury = Callable[[bytes], Awaitable[None]]

_TRIES = 5
_BACK_OFF_S = 1.0
_POLL_MS = 200
_RETRY_MS = 500
_SESSION_MS = 6000
"""After so long the partitions of a member that died go to the others; the broker's own lower bound."""
_REBALANCE_MS = 10000
"""So long the members of a group wait for each other when one comes or goes."""
_SETTLE_S = 0.8 * _REBALANCE_MS / 1000
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
        OSError: the broker cannot be reached at the start, or refuses what is asked of it.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=prefetch,
        session_timeout_ms=_SESSION_MS,
        heartbeat_interval_ms=_SESSION_MS // 3,
        rebalance_timeout_ms=_REBALANCE_MS,
        max_poll_interval_ms=_NO_LIMIT_MS,
        retry_backoff_ms=_RETRY_MS,  # each attempt to reach a broker that is away leaves four lines in the log
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    hand = Hand(consumer)
    consumer.subscribe([topic], listener=hand)

    async def bury(body: bytes) -> None:
        await not_beyond(stop, producer.send_and_wait(dead_topic(topic), body))

    async with AsyncExitStack() as stack:
        try:
            for client in (consumer, producer):
                stack.push_async_callback(take_leave, client.stop)
                await not_beyond(stop, client.start())
            while not stop.is_set():
                await _work_off(hand, prefetch, process, bury, stop)
        except KafkaError as error:
            raise OSError(f"Kafka at {servers}: {error!r}") from error


class Hand(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is not typed
    """What was taken and is not done with: where a member comes or goes, partitions move when it is.

    A group grows in the middle of a push, when everybody has something at hand; it would all be computed twice.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.consumer = consumer
        self._empty = asyncio.Event()
        self._empty.set()

    async def take(self, most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Some messages of each partition, if there are any."""
        batches: dict[TopicPartition, list[ConsumerRecord]]
        batches = await self.consumer.getmany(timeout_ms=_POLL_MS, max_records=most)
        if batches:
            self._empty.clear()
        return batches

    def settled(self) -> None:
        """All that was taken is stored and said to be, or will come again."""
        self._empty.set()

    async def on_partitions_revoked(self, _: Collection[TopicPartition]) -> None:
        """Wait, as long as the others do; nothing more is taken meanwhile."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), _SETTLE_S)

    def on_partitions_assigned(self, _: Collection[TopicPartition]) -> None:
        """Go on."""


async def _work_off(hand: Hand, prefetch: int, process: Process, bury: Bury, stop: asyncio.Event) -> None:
    """Some messages of each partition, if there are any."""
    try:
        batches = await not_beyond(stop, hand.take(prefetch))
    except TimeoutError:  # the broker is away, in the middle of sharing out partitions
        return
    if not batches:
        return
    settling = (_settle_all(batch, process, bury) for batch in batches.values())
    offsets = dict(zip(batches, await asyncio.gather(*settling), strict=True))
    try:
        await not_beyond(stop, hand.consumer.commit(offsets))
    except (CommitFailedError, IllegalStateError, TimeoutError) as error:
        # a partition went to another member meanwhile, or the broker is away and the worker ends
        logger.warning("not committed, it will come again: %r", error)
    hand.settled()


async def _settle_all(batch: list[ConsumerRecord], process: Process, bury: Bury) -> int:
    """Settles the messages of one partition; returns the offset of the first that is not done with."""
    done = await asyncio.gather(*(_settle(message, process, bury) for message in batch))
    left: list[int] = [message.offset for message, is_done in zip(batch, done, strict=True) if not is_done]
    return left[0] if left else int(batch[-1].offset) + 1


async def _settle(message: ConsumerRecord, process: Process, bury: Bury) -> bool:
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
        try:
            await bury(body or b"")
        except TimeoutError:
            logger.warning("the broker is away, it comes again")
            return False
    return True
