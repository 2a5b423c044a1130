"""What KEDA's triggers make of what their sources say: a value for the HPA, and whether there is work at all.

Source: kedacore/keda, pkg/scalers/{prometheus,rabbitmq,kafka}_scaler.go and scaler.go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.policies.hpa.pods import PodUsage
from autoscaler.policies.keda.settings import (
    KafkaTrigger,
    OffsetReset,
    PrometheusTrigger,
    RabbitMode,
    RabbitTrigger,
    Trigger,
    written_milli,
)

NO_OFFSET = -1
"""What a partition of which nothing was committed yet reports."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The source did not answer, or not as it must."""

    reason: str


@dataclass(frozen=True, slots=True)
class PrometheusAnswer:
    """The answer of a query."""

    value: float | None
    """None: the value was null."""
    empty: bool = False
    """The result held no series."""


@dataclass(frozen=True, slots=True)
class QueueAnswer:
    """What RabbitMQ says of a queue."""

    messages: float
    publish_rps: float
    deliver_rps: float


@dataclass(frozen=True, slots=True)
class TopicAnswer:
    """What Kafka says of a topic and a consumer group."""

    partitions: tuple[tuple[int, int], ...]
    """Committed offset (`NO_OFFSET` if there is none) and end offset of each partition."""


Answer = Unanswered | PrometheusAnswer | QueueAnswer | TopicAnswer | PodUsage
Offsets = tuple[int | None, ...]
"""Committed offsets of a topic's partitions as last counted; None: not counted yet."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trigger says."""

    milli: int
    """For the HPA."""
    active: bool
    offsets: Offsets = ()
    """What a kafka trigger remembers."""


def measure(trigger: Trigger, answer: Answer, offsets: Offsets = ()) -> Measured | Unanswered:
    """What one trigger makes of its source's answer.

    Args:
        trigger: the trigger.
        answer: of the kind that belongs to it; a resource trigger is left to the HPA and says nothing itself.
        offsets: what the trigger remembered last; kafka alone uses it.
    """
    if isinstance(answer, Unanswered):
        return Unanswered(f"{trigger.name}: {answer.reason}")
    if isinstance(trigger, PrometheusTrigger) and isinstance(answer, PrometheusAnswer):
        return _prometheus(trigger, answer)
    if isinstance(trigger, RabbitTrigger) and isinstance(answer, QueueAnswer):
        return _rabbitmq(trigger, answer)
    if isinstance(trigger, KafkaTrigger) and isinstance(answer, TopicAnswer):
        return _kafka(trigger, answer, offsets)
    raise TypeError(f"{type(answer).__name__} is no answer for {type(trigger).__name__}")


def _prometheus(trigger: PrometheusTrigger, answer: PrometheusAnswer) -> Measured | Unanswered:
    if answer.empty or (answer.value is not None and not math.isfinite(answer.value)):
        if not trigger.ignore_null:
            return Unanswered(f"{trigger.name}: the result is empty or not finite")
        return Measured(0, trigger.activation < 0.0)
    value = -1.0 if answer.value is None else answer.value
    return Measured(written_milli(value), value > trigger.activation)


def _rabbitmq(trigger: RabbitTrigger, answer: QueueAnswer) -> Measured:
    value = answer.messages
    more = False
    stalled = answer.deliver_rps == 0.0
    if trigger.mode is RabbitMode.MESSAGE_RATE:
        value = answer.publish_rps
        more = answer.messages > trigger.activation
    elif trigger.mode is RabbitMode.DELIVER_GET_RATE:
        value = answer.deliver_rps
    elif trigger.mode is RabbitMode.PUBLISHED_TO_DELIVERED_RATIO:
        more = stalled and answer.publish_rps > 0.0
        value = 0.0
        if answer.publish_rps > 0.0:
            value = trigger.activation if stalled else answer.publish_rps / answer.deliver_rps
    elif trigger.mode is RabbitMode.EXPECTED_CONSUMPTION_TIME:
        more = stalled and answer.messages > 0.0
        value = _consumption_s(trigger, answer)
    return Measured(written_milli(value), value > trigger.activation or more)


def _consumption_s(trigger: RabbitTrigger, answer: QueueAnswer) -> float:
    if answer.messages == 0.0:
        return 0.0
    if answer.deliver_rps == 0.0:
        return trigger.activation
    growth = (answer.publish_rps - answer.deliver_rps) / answer.deliver_rps
    return growth + answer.messages / answer.deliver_rps


def _kafka(trigger: KafkaTrigger, answer: TopicAnswer, offsets: Offsets) -> Measured:
    lags, kept, backlog = _lags(trigger, answer, offsets)
    total = _capped(trigger, sum(lags), len(lags), sum(lag > 0 for lag in lags))
    return Measured(written_milli(float(total)), backlog > trigger.activation, kept)


def _lags(trigger: KafkaTrigger, answer: TopicAnswer, offsets: Offsets) -> tuple[list[int], Offsets, int]:
    """The lag of each partition that counts, the offsets to remember, and the whole lag."""
    lags: list[int] = []
    kept: list[int | None] = []
    backlog = 0
    for partition, (committed, end) in enumerate(answer.partitions):
        before = offsets[partition] if partition < len(offsets) else None
        if committed == NO_OFFSET:
            unread = 1 if trigger.offset_reset is OffsetReset.LATEST else end
            lag = whole = 0 if trigger.zero_on_invalid_offset else unread
            kept.append(before)
        else:
            whole = end - committed
            stuck = trigger.exclude_persistent_lag and before == committed
            lag = 0 if stuck else whole
            kept.append(committed)
        lags.append(lag)
        backlog += whole
    return lags, tuple(kept) if trigger.exclude_persistent_lag else (), backlog


def _capped(trigger: KafkaTrigger, total: int, partitions: int, lagging: int) -> int:
    """A partition feeds one consumer: more pods than partitions would be idle."""
    if trigger.allow_idle_consumers and not trigger.limit_to_partitions_with_lag:
        return total
    if trigger.even_distribution:
        total = _even_consumers(total, partitions, trigger.threshold) * trigger.threshold
    most = lagging if trigger.limit_to_partitions_with_lag else partitions
    return most * trigger.threshold if int(total / trigger.threshold) > most else total


def _even_consumers(total: int, partitions: int, threshold: int) -> int:
    """The fewest consumers that share the partitions evenly and hold the lag."""
    divisors: Sequence[int] = [n for n in range(1, partitions + 1) if partitions % n == 0]
    return next((n for n in divisors if n * threshold >= total), partitions)
