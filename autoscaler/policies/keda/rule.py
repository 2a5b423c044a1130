"""KEDA's two controllers: the operator's poll (0 to 1 and 1 to 0) and the sync of the HPA that it keeps.

Source: kedacore/keda, pkg/scaling/scale_handler.go, pkg/scaling/executor/scale_scaledobjects.go and
controllers/keda/hpa.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscaler.model import Step
from autoscaler.policies.hpa.behavior import HpaState
from autoscaler.policies.hpa.metrics import Failed, MetricValue, Target, Values, show
from autoscaler.policies.hpa.pods import PodUsage
from autoscaler.policies.hpa.rule import asks_metrics, sync
from autoscaler.policies.keda.fallback import Size, fall_back
from autoscaler.policies.keda.scalers import Answer, Measured, Offsets, Unanswered, measure
from autoscaler.policies.keda.settings import KedaSettings, ResourceTrigger, Switches


@dataclass(frozen=True, slots=True)
class TriggerState:
    """What KEDA remembers of one trigger."""

    failures: int = 0
    """In a row, by whoever asked."""
    offsets: Offsets = ()
    """What its scaler remembers; lost when it is rebuilt."""


@dataclass(frozen=True, slots=True)
class KedaState:
    """All that KEDA remembers of a ScaledObject."""

    created_at_s: float
    triggers: tuple[TriggerState, ...]
    hpa: HpaState
    last_active_s: float | None = None

    @staticmethod
    def new(settings: KedaSettings, created_at_s: float) -> KedaState:
        """A fresh ScaledObject."""
        return KedaState(created_at_s, (TriggerState(),) * len(settings.triggers), HpaState())


@dataclass(frozen=True, slots=True)
class Activity:
    """What a poll found."""

    active: bool
    seen: str
    """What the triggers said."""
    error: str
    """Empty: every trigger answered, or falls back."""


Outcome = tuple[KedaState, int, tuple[Step, ...]]
"""What KEDA remembers now, the number of pods it wants, and why; the last step carries that number."""


def poll(
    settings: KedaSettings, switches: Switches, state: KedaState, size: Size, answers: Sequence[Answer], *, now_s: float
) -> Outcome:
    """One poll of the operator.

    Args:
        settings: the ScaledObject.
        switches: its annotations now.
        state: what KEDA remembers.
        size: the scale target.
        answers: what the source of each trigger says, in order; those of resource triggers are not read.
        now_s: seconds on a clock that does not go back.
    """
    if switches.paused:
        return _pause(switches, state, size.current)
    state, found = _look(settings, state, size, answers)
    if switches.force_activation and not found.active:
        found = replace(found, active=True, seen="forced by annotation")
    if found.active:
        return _when_active(settings, switches, state, size.current, found, now_s=now_s)
    return _when_idle(settings, switches, state, size.current, found, now_s=now_s)


def sync_hpa(
    settings: KedaSettings,
    switches: Switches,
    state: KedaState,
    target: Target,
    answers: Sequence[Answer],
    *,
    now_s: float,
) -> Outcome:
    """One sync of the HPA; it asks the triggers only where an HPA asks its metrics.

    Args:
        settings: the ScaledObject.
        switches: its annotations now.
        state: what KEDA remembers.
        target: the scale target.
        answers: what the source of each trigger says, in order; of resource triggers the pods' samples.
        now_s: seconds on a clock that does not go back.
    """
    if switches.paused:
        return _pause(switches, state, target.current)
    hpa = settings.hpa(switches)
    values: list[MetricValue] = []
    if asks_metrics(hpa, state.hpa, target.current):
        size = Size(target.current, target.ready)
        for index, answer in enumerate(answers):
            state, value = _metric_value(settings, state, index, answer, size)
            values.append(value)
    remembered, desired, steps = sync(hpa, state.hpa, target, values, now_s)
    return replace(state, hpa=remembered), desired, steps


def _pause(switches: Switches, state: KedaState, current: int) -> Outcome:
    """The HPA is deleted with all that it remembers, and nobody polls."""
    state = replace(state, hpa=HpaState())
    if switches.paused_replicas is None:
        return state, current, (Step("keda pause", current, 0, "paused"),)
    held = switches.paused_replicas
    return state, held, (Step("keda pause", held, 0, f"paused at {held} replicas"),)


def _look(
    settings: KedaSettings, state: KedaState, size: Size, answers: Sequence[Answer]
) -> tuple[KedaState, Activity]:
    """Ask every trigger but cpu and memory; where there are no others, there always is work."""
    active = all(isinstance(trigger, ResourceTrigger) for trigger in settings.triggers)
    errors, seen = [], []
    for index, (trigger, answer) in enumerate(zip(settings.triggers, answers, strict=True)):
        if isinstance(trigger, ResourceTrigger):
            continue
        state, said = _ask(settings, state, index, answer, size)
        if isinstance(said, Unanswered):
            errors.append(said.reason)
        else:
            active = active or said.active
            seen.append(f"{trigger.name} {show(said.milli)}")
    if errors:
        state = _rebuilt(state)
    return state, Activity(active, ", ".join(seen) or "no trigger to poll", "; ".join(errors))


def _metric_value(
    settings: KedaSettings, state: KedaState, index: int, answer: Answer, size: Size
) -> tuple[KedaState, MetricValue]:
    if isinstance(answer, PodUsage):
        return state, answer
    if isinstance(settings.triggers[index], ResourceTrigger):
        return state, Failed(answer.reason if isinstance(answer, Unanswered) else "no samples")
    state, said = _ask(settings, state, index, answer, size)
    if isinstance(said, Unanswered):
        return _rebuilt(state), Failed(said.reason)
    return state, Values((said.milli,))


def _ask(
    settings: KedaSettings, state: KedaState, index: int, answer: Answer, size: Size
) -> tuple[KedaState, Measured | Unanswered]:
    """What one trigger says, its failures counted."""
    trigger, before = settings.triggers[index], state.triggers[index]
    said = measure(trigger, answer, before.offsets)
    if isinstance(said, Measured):
        after = TriggerState(0, said.offsets)
    else:
        after = TriggerState(before.failures + 1)
        said = fall_back(settings.fallback, trigger, after.failures, said, size)
    if after != before:
        state = replace(state, triggers=(*state.triggers[:index], after, *state.triggers[index + 1 :]))
    return state, said


def _rebuilt(state: KedaState) -> KedaState:
    """After an error KEDA builds all scalers of the object anew."""
    return replace(state, triggers=tuple(TriggerState(trigger.failures) for trigger in state.triggers))


def _when_active(
    settings: KedaSettings, switches: Switches, state: KedaState, current: int, found: Activity, *, now_s: float
) -> Outcome:
    idle = settings.idle_replicas is not None and current < settings.min_replicas
    if idle or current == 0:
        if switches.paused_scale_out:
            return state, current, (_step(current, "there is work, but scaling out is paused"),)
        size = max(settings.min_replicas, 1)
        return (
            replace(state, last_active_s=now_s),
            size,
            (_step(size, f"there is work ({found.seen}): from {current} to {size}"),),
        )
    if found.error:
        return state, current, (_step(current, f"there is work ({found.seen}), in spite of {found.error}"),)
    return replace(state, last_active_s=now_s), current, (_step(current, f"there is work ({found.seen})"),)


def _when_idle(
    settings: KedaSettings, switches: Switches, state: KedaState, current: int, found: Activity, *, now_s: float
) -> Outcome:
    size, reason = current, f"no work ({found.seen})"
    rest = settings.idle_replicas if settings.idle_replicas is not None else settings.min_replicas
    if found.error and (settings.fallback is None or settings.fallback.replicas != 0):
        reason = f"no work is known of, but {found.error}"
    elif current > rest and (settings.idle_replicas is not None or settings.min_replicas == 0):
        left_s = _cooldown_left_s(settings, state, now_s)
        if switches.paused_scale_in:
            reason = "no work, but scaling in is paused"
        elif left_s >= 0.0:
            reason = f"no work ({found.seen}); cooldown for {left_s:g} s yet"
        else:
            size, reason = rest, f"no work ({found.seen}) and the cooldown is over: from {current} to {rest}"
    elif settings.idle_replicas is None and current < settings.min_replicas:
        size, reason = settings.min_replicas, f"{current} pods are below minReplicaCount"
    return state, size, (_step(size, reason),)


def _cooldown_left_s(settings: KedaSettings, state: KedaState, now_s: float) -> float:
    """Seconds until the target may rest; it may when they are below 0."""
    if state.last_active_s is None:
        return state.created_at_s + settings.initial_cooldown_s - now_s
    return state.last_active_s + settings.cooldown_s - now_s


def _step(replicas: int, reason: str) -> Step:
    return Step("keda operator", replicas, 0, reason)
