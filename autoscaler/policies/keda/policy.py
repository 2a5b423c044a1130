"""KEDA as a policy: its operator and its HPA on their own clocks, their inputs read from scrapes and the fleet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.model import InvalidInput, Missing, Observation, Proposal, Step
from autoscaler.policies.hpa.policy import Crowd, spread
from autoscaler.policies.keda.fallback import Size
from autoscaler.policies.keda.rule import KedaState, poll, sync_hpa
from autoscaler.policies.keda.scalers import Answer, PrometheusAnswer, QueueAnswer, Unanswered
from autoscaler.policies.keda.settings import (
    KafkaTrigger,
    KedaSettings,
    PrometheusTrigger,
    RabbitMode,
    ResourceTrigger,
    Trigger,
)
from autoscaler.policies.windows import Signal, Window, Windowed, longest_s

SYNC_S = 15
"""Sync period of the HPA."""
QUEUE_RATES_S = 5.0
"""RabbitMQ computes a queue's rates over its last statistics interval."""
_PUBLISHED = Windowed(Signal.RATE, QUEUE_RATES_S)
_DELIVERED = Windowed(Signal.COMPLETED_RATE, QUEUE_RATES_S)
_RATES = {
    RabbitMode.QUEUE_LENGTH: (False, False),
    RabbitMode.MESSAGE_RATE: (True, False),
    RabbitMode.DELIVER_GET_RATE: (False, True),
    RabbitMode.PUBLISHED_TO_DELIVERED_RATIO: (True, True),
    RabbitMode.EXPECTED_CONSUMPTION_TIME: (True, True),
}
"""Whether a mode looks at the publish rate and at the deliver rate."""


@dataclass(frozen=True, slots=True)
class KedaMemory:
    """What KEDA remembers, when its two controllers are due, and the scrapes they read."""

    window: Window
    state: KedaState | None = None
    poll_at_s: float | None = None
    """When the next poll is due; None: at once."""
    sync_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class KedaPolicy:
    """One ScaledObject.

    A prometheus trigger takes its reading as it is. A rabbitmq trigger takes it for the messages of its queue,
    and the received and answered requests for the rates. A cpu or memory trigger spreads it evenly over the
    serving pods, in units of one pod's request. A reading that is missing is a failed query, also where
    Prometheus would have returned an empty result, which KEDA takes for 0.
    """

    settings: KedaSettings
    readings: Mapping[str, Windowed]
    """By name of the trigger."""

    def __post_init__(self) -> None:
        problems = [
            f"trigger {trigger.name}: nothing says how to read it from the scrapes"
            for trigger in self.settings.triggers
            if trigger.name not in self.readings
        ]
        problems += [
            f"trigger {trigger.name}: kafka cannot be replayed, scrapes know nothing of partitions"
            for trigger in self.settings.triggers
            if isinstance(trigger, KafkaTrigger)
        ]
        if problems:
            raise InvalidInput(*problems)

    @property
    def tick_s(self) -> float:
        """The HPA's period, divided so that the polls fall on ticks where they can change the size."""
        settings = self.settings
        if settings.min_replicas > 0 and settings.idle_replicas is None and settings.fallback is None:
            return float(SYNC_S)
        return float(math.gcd(SYNC_S, settings.polling_interval_s))

    @property
    def lookback_s(self) -> float:
        """The longest window."""
        return longest_s((*self.readings.values(), _PUBLISHED))

    def start(self) -> KedaMemory:
        """A ScaledObject that is created at the first tick."""
        return KedaMemory(Window(self.lookback_s))

    def propose(self, memory: KedaMemory, seen: Observation) -> tuple[KedaMemory, Proposal]:
        """A poll and a sync, each if it is due; before two scrapes there is nothing to decide on."""
        window, now_s = memory.window.add(seen.signals), seen.at_s
        state = memory.state or KedaState.new(self.settings, now_s)
        size = seen.fleet.replicas
        polls, syncs = self._is_due(memory.poll_at_s, now_s), self._is_due(memory.sync_at_s, now_s)
        if not window.comparable or not (polls or syncs):
            reason = "between polls" if window.comparable else "waits for two scrapes"
            held = KedaMemory(window, state, memory.poll_at_s, memory.sync_at_s)
            return held, Proposal(size, 0, (Step("keda", size, 0, reason),))
        crowd = Crowd.of(seen.fleet)
        answers = [self._answer(trigger, window, crowd, now_s) for trigger in self.settings.triggers]
        steps: tuple[Step, ...] = ()
        poll_at_s, sync_at_s = memory.poll_at_s, memory.sync_at_s
        switches = self.settings.switches
        if polls:
            about = Size(size, crowd.serving)
            state, size, steps = poll(self.settings, switches, state, about, answers, now_s=now_s)
            poll_at_s = _following(poll_at_s, self.settings.polling_interval_s, now_s)
        if syncs:
            state, size, more = sync_hpa(self.settings, switches, state, crowd.target(size), answers, now_s=now_s)
            sync_at_s = _following(sync_at_s, SYNC_S, now_s)
            steps += more
        return KedaMemory(window, state, poll_at_s, sync_at_s), Proposal(size, 0, steps)

    def _is_due(self, at_s: float | None, now_s: float) -> bool:
        """The tick that lies nearest counts, so that a tick that comes early is not skipped."""
        return at_s is None or now_s >= at_s - self.tick_s / 2

    def _answer(self, trigger: Trigger, window: Window, crowd: Crowd, now_s: float) -> Answer:
        reading = self.readings[trigger.name]
        value = reading.read(window, now_s)
        if isinstance(value, Missing):
            return Unanswered(str(value))
        if isinstance(trigger, PrometheusTrigger):
            return PrometheusAnswer(value)
        if isinstance(trigger, ResourceTrigger):
            return spread(value, crowd, mean=reading.signal.is_mean)
        if isinstance(trigger, KafkaTrigger):
            raise TypeError("refused when the policy was made")
        return _queue(trigger.mode, value, window, now_s)


def _queue(mode: RabbitMode, messages: float, window: Window, now_s: float) -> QueueAnswer | Unanswered:
    wants_published, wants_delivered = _RATES[mode]
    published = _PUBLISHED.read(window, now_s) if wants_published else 0.0
    delivered = _DELIVERED.read(window, now_s) if wants_delivered else 0.0
    if isinstance(published, Missing):
        return Unanswered(str(published))
    if isinstance(delivered, Missing):
        return Unanswered(str(delivered))
    return QueueAnswer(messages, published, delivered)


def _following(due_s: float | None, period_s: float, now_s: float) -> float:
    """The next time on a fixed grid; a grid that was missed starts anew."""
    return now_s + period_s if due_s is None or due_s + period_s <= now_s else due_s + period_s
