"""What the HPA remembers, and how it keeps a wish within its rates.

Source: Kubernetes v1.36, pkg/controller/podautoscaler/horizontal.go (normalizeDesiredReplicas and its
kin WithBehaviors).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from autoscaler.model import Step
from autoscaler.policies.hpa.settings import Behavior, HpaSettings, Limit, LimitKind, Rules, Select

Mark = tuple[float, int]
"""When, and how many pods."""


@dataclass(frozen=True, slots=True)
class HpaState:
    """All that an HPA carries from sync to sync."""

    highs: tuple[Mark, ...] = ()
    """Proposals before any limit that a down window may still recall, oldest and largest first."""
    lows: tuple[Mark, ...] = ()
    """The same for an up window, oldest and smallest first."""
    ups: tuple[Mark, ...] = ()
    """Sizes of increases."""
    downs: tuple[Mark, ...] = ()
    """Sizes of decreases."""
    begun: bool = False
    scaled_to_zero: bool = False
    """The condition of that name: this HPA itself brought the target to 0."""


def limit(
    settings: HpaSettings, state: HpaState, current: int, wanted: int, now_s: float
) -> tuple[HpaState, int, list[Step]]:
    """Hold a proposal within windows, rates and bounds; remember it.

    Returns:
        The new state, the number of pods, and a step for each rule that changed it.
    """
    if settings.behavior is None:
        return _limit_plainly(settings, state, current, wanted, now_s)
    return _limit_by_behavior(settings, settings.behavior, state, current, wanted, now_s=now_s)


def remember(state: HpaState, wanted: int, now_s: float) -> HpaState:
    """Add a proposal; older ones that it outdoes can never rule again and are dropped."""
    highs, lows = state.highs, state.lows
    while highs and highs[-1][1] <= wanted:
        highs = highs[:-1]
    while lows and lows[-1][1] >= wanted:
        lows = lows[:-1]
    mark = (now_s, wanted)
    return HpaState((*highs, mark), (*lows, mark), state.ups, state.downs, True, state.scaled_to_zero)


def note_rescale(settings: HpaSettings, state: HpaState, current: int, desired: int, now_s: float) -> HpaState:
    """Remember a change of size for the rates; without `behavior` there are none."""
    zero = settings.scale_to_zero and desired == 0
    if state.scaled_to_zero != zero:
        state = replace(state, scaled_to_zero=zero)
    behavior = settings.behavior
    if behavior is None:
        return state
    longest_s = max(rule.period_s for rules in (behavior.up, behavior.down) for rule in rules.limits)
    ups = _newer(state.ups, now_s - longest_s)
    downs = _newer(state.downs, now_s - longest_s)
    if desired > current:
        ups = (*ups, (now_s, desired - current))
    else:
        downs = (*downs, (now_s, current - desired))
    return replace(state, ups=ups, downs=downs)


def _limit_plainly(
    settings: HpaSettings, state: HpaState, current: int, wanted: int, now_s: float
) -> tuple[HpaState, int, list[Step]]:
    """The largest proposal of the window; at most twice the size, or 4."""
    window_s = settings.downscale_stabilization_s
    since_s = now_s - window_s
    highs = state.highs
    while highs and highs[0][0] < since_s:
        highs = highs[1:]
    state = remember(replace(state, highs=highs, lows=()), wanted, now_s)
    steps: list[Step] = []
    size = state.highs[0][1]
    if size != wanted:
        steps.append(Step("hpa window", size, 0, f"the largest proposal of the last {window_s} s was {size}"))
    fastest = max(2 * current, 4)
    if size < settings.min_replicas:
        size = _bounded(steps, settings.min_replicas, f"minReplicas is {settings.min_replicas}")
    elif size > min(settings.max_replicas, fastest):
        if fastest < settings.max_replicas:
            size = _rated(steps, fastest, f"at most twice {current} pods, or 4, in one sync")
        else:
            size = _bounded(steps, settings.max_replicas, f"maxReplicas is {settings.max_replicas}")
    return state, size, steps


def _limit_by_behavior(
    settings: HpaSettings, behavior: Behavior, state: HpaState, current: int, wanted: int, *, now_s: float
) -> tuple[HpaState, int, list[Step]]:
    up, down = behavior.up, behavior.down
    steps: list[Step] = []
    highs = _newer(state.highs, now_s - down.stabilization_s)
    lows = _newer(state.lows, now_s - up.stabilization_s)
    state = remember(replace(state, highs=highs, lows=lows), wanted, now_s)
    size = _stabilised(steps, behavior, state, current, wanted)
    if size > current:
        top = max(_up_limit(up, state, current, now_s), current)
        if size > min(settings.max_replicas, top):
            if top < settings.max_replicas:
                size = _rated(steps, top, f"scaleUp {_described(up)} allows {top} from {current}")
            else:
                size = _bounded(steps, settings.max_replicas, f"maxReplicas is {settings.max_replicas}")
    elif size < current:
        bottom = min(_down_limit(down, state, current, now_s), current)
        if size < max(settings.min_replicas, bottom):
            if bottom > settings.min_replicas:
                size = _rated(steps, bottom, f"scaleDown {_described(down)} allows {bottom} from {current}")
            else:
                size = _bounded(steps, settings.min_replicas, f"minReplicas is {settings.min_replicas}")
    if size < settings.min_replicas:
        size = _bounded(steps, settings.min_replicas, f"minReplicas is {settings.min_replicas}")
    return state, size, steps


def _stabilised(steps: list[Step], behavior: Behavior, state: HpaState, current: int, wanted: int) -> int:
    """Keep the size unless every proposal of the window agrees that it is too small, or too large."""
    low, high = state.lows[0][1], state.highs[0][1]
    size = min(max(current, low), high)
    if wanted > size:
        held = f"held at {size} by the smallest proposal of the last {behavior.up.stabilization_s} s"
        steps.append(Step("hpa window", size, 0, held))
    elif wanted < size:
        held = f"held at {size} by the largest proposal of the last {behavior.down.stabilization_s} s"
        steps.append(Step("hpa window", size, 0, held))
    return size


def _up_limit(rules: Rules, state: HpaState, current: int, now_s: float) -> int:
    if rules.select is Select.DISABLED:
        return current
    pick = min if rules.select is Select.MIN else max
    return pick(_grown(rule, _base(rule, state, current, now_s)) for rule in rules.limits)


def _down_limit(rules: Rules, state: HpaState, current: int, now_s: float) -> int:
    if rules.select is Select.DISABLED:
        return current
    pick = max if rules.select is Select.MIN else min
    return pick(_shrunk(rule, _base(rule, state, current, now_s)) for rule in rules.limits)


def _base(rule: Limit, state: HpaState, current: int, now_s: float) -> int:
    """The size at the start of the rule's period."""
    since_s = now_s - rule.period_s
    added = sum(size for at_s, size in state.ups if at_s > since_s)
    removed = sum(size for at_s, size in state.downs if at_s > since_s)
    return current - added + removed


def _grown(rule: Limit, base: int) -> int:
    if rule.kind is LimitKind.PODS:
        return base + rule.value
    return math.ceil(base * (1.0 + rule.value / 100.0))


def _shrunk(rule: Limit, base: int) -> int:
    if rule.kind is LimitKind.PODS:
        return base - rule.value
    return int(base * (1.0 - rule.value / 100.0))


def _newer(marks: tuple[Mark, ...], since_s: float) -> tuple[Mark, ...]:
    while marks and marks[0][0] <= since_s:
        marks = marks[1:]
    return marks


def _described(rules: Rules) -> str:
    if rules.select is Select.DISABLED:
        return "is disabled and"
    parts = (f"{r.value} {'%' if r.kind is LimitKind.PERCENT else 'pods'} per {r.period_s} s" for r in rules.limits)
    return f"({rules.select} of {', '.join(parts)})"


def _rated(steps: list[Step], size: int, reason: str) -> int:
    steps.append(Step("hpa rate", size, 0, reason))
    return size


def _bounded(steps: list[Step], size: int, reason: str) -> int:
    steps.append(Step("hpa bounds", size, 0, reason))
    return size
