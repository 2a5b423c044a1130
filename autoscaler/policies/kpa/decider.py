"""One tick of Knative's autoscaler: from two averages to a wish, and how much burst the pods could take.

Source: knative/serving, pkg/autoscaler/scaling/autoscaler.go and pkg/autoscaler/aggregation/max.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from autoscaler.policies.kpa.buckets import Buckets
from autoscaler.policies.kpa.settings import KpaSettings

UNKNOWN = -1
"""The wish before the first data."""
TICK_S = 2.0


@dataclass(frozen=True, slots=True)
class DeciderState:
    """All that the autoscaler of a revision remembers."""

    wish: int
    """Pods, before bounds; `UNKNOWN` before the first data."""
    excess_burst: int
    """Requests that the ready pods could take beyond the burst they are to be ready for; negative: too few."""
    panic_s: float | None
    """When panic was renewed last; None: calm."""
    panic_most: int
    """The largest wish of this panic."""
    slots: tuple[tuple[int, int], ...] = ()
    """Two-second slots of the scale-down delay that may still rule, oldest and largest first: number, wish."""

    @staticmethod
    def new(settings: KpaSettings, ready: int, now_s: float) -> DeciderState:
        """A fresh autoscaler: over more than one pod it begins in panic, so that it does not shrink on no history."""
        burst = settings.target_burst_capacity
        excess = burst if burst in {0.0, -1.0} else settings.initial_scale * settings.total - burst
        return DeciderState(UNKNOWN, int(excess), now_s if ready > 1 else None, ready)


@dataclass(frozen=True, slots=True)
class Averages:
    """The metric over the stable and the panic window: requests at a time, or requests/s."""

    stable: float
    panic: float


def collected(settings: KpaSettings, stable: Buckets, panicked: Buckets, now_s: float) -> Averages | None:
    """What the collector says; nothing after a silent stable window, unless the activator alone reports."""
    if stable.silent(now_s) and settings.target_burst_capacity != -1.0:
        return None
    return Averages(stable.average(now_s, settings.aggregation), panicked.average(now_s, settings.aggregation))


def tick(
    settings: KpaSettings, state: DeciderState, averages: Averages | None, ready: int, now_s: float
) -> tuple[DeciderState, str]:
    """One tick.

    Args:
        settings: the revision's autoscaler.
        state: what it remembers.
        averages: None where there are no data; then nothing is decided.
        ready: ready pods.
        now_s: seconds on a clock that does not go back.

    Returns:
        What it remembers now, its wish among it, and why.
    """
    if averages is None:
        return state, f"no data, the wish stays {'unknown' if state.wish == UNKNOWN else state.wish}"
    pods = max(1, ready)
    stable_raw, stable = _clipped(settings, averages.stable, pods)
    panic_raw, panicked = _clipped(settings, averages.panic, pods)
    state = _panic(settings, state, panic_raw / pods, now_s)
    reason = f"stable {averages.stable:.3g} and panic {averages.panic:.3g} at {settings.target:g} a pod"
    if state.panic_s is None:
        wish = stable
        reason = f"{reason} ask for {wish}"
        if stable_raw != stable:
            reason = f"{reason} ({stable_raw:g} before rates and activation scale)"
    else:
        wish = max(stable, panicked, state.panic_most)
        state = replace(state, panic_most=wish)
        reason = f"{reason}: panic holds the largest wish, {wish}"
    if settings.reachable and settings.scale_down_delay_s > 0.0:
        state, delayed = _delayed(settings, state, wish, now_s)
        if delayed != wish:
            reason = f"{reason}; held at {delayed} by the scale-down delay of {settings.scale_down_delay_s:g} s"
            wish = delayed
    excess = _excess_burst(settings, averages.panic, ready)
    if (wish, excess) != (state.wish, state.excess_burst):
        state = replace(state, wish=wish, excess_burst=excess)
    return state, reason


def _clipped(settings: KpaSettings, average: float, pods: int) -> tuple[float, int]:
    """Pods for an average, before and after the rates and the activation scale."""
    wanted = math.ceil(average / settings.target)
    most = math.ceil(settings.max_scale_up_rate * pods)
    least = math.floor(pods / settings.max_scale_down_rate) if settings.reachable else 0
    clipped = min(max(wanted, least), most)
    if wanted > 0 and settings.activation_scale > 1:
        clipped = max(clipped, settings.activation_scale)
    return wanted, clipped


def _panic(settings: KpaSettings, state: DeciderState, load: float, now_s: float) -> DeciderState:
    """Begin, renew or end panic."""
    if load >= settings.panic_threshold:
        return replace(state, panic_s=now_s)
    if state.panic_s is not None and state.panic_s + settings.stable_window_s < now_s:
        return replace(state, panic_s=None, panic_most=0)
    return state


def _delayed(settings: KpaSettings, state: DeciderState, wish: int, now_s: float) -> tuple[DeciderState, int]:
    """The largest wish of the last slots; within one slot the largest counts."""
    number = int(now_s // TICK_S)
    oldest = number - math.ceil(settings.scale_down_delay_s / TICK_S)
    slots = state.slots
    while slots and slots[-1][1] <= wish:
        slots = slots[:-1]
    while slots and slots[0][0] <= oldest:
        slots = slots[1:]
    if not slots or slots[-1][0] != number:
        slots = (*slots, (number, wish))
    return replace(state, slots=slots), slots[0][1]


def _excess_burst(settings: KpaSettings, panic: float, ready: int) -> int:
    if settings.target_burst_capacity in {0.0, -1.0}:
        return int(settings.target_burst_capacity)
    return math.floor(ready * settings.total - settings.target_burst_capacity - panic)
