"""One sync of the HPA.

Source: Kubernetes v1.36, pkg/controller/podautoscaler/horizontal.go (reconcileAutoscaler).
"""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.model import Step
from autoscaler.policies.hpa.behavior import HpaState, limit, note_rescale, remember
from autoscaler.policies.hpa.metrics import Band, Failed, MetricValue, Target, Wish, largest, propose
from autoscaler.policies.hpa.settings import HpaSettings


def asks_metrics(settings: HpaSettings, state: HpaState, current: int) -> bool:
    """A sync at this size queries the metrics; outside the bounds and at rest it does not."""
    if current == 0:
        return settings.scale_to_zero and state.scaled_to_zero
    return settings.min_replicas <= current <= settings.max_replicas


def sync(
    settings: HpaSettings, state: HpaState, target: Target, values: Sequence[MetricValue], now_s: float
) -> tuple[HpaState, int, tuple[Step, ...]]:
    """One sync.

    Args:
        settings: the HPA.
        state: what it remembers.
        target: what it is to scale.
        values: one for each metric of the settings, in order; ignored where `asks_metrics` is false.
        now_s: seconds on a clock that does not go back.

    Returns:
        What it remembers now, the number of pods it wants, and why: each metric's wish with the largest last, then
        what limited it. The last step carries the number.
    """
    current = target.current
    if not state.begun:
        state = remember(state, current, now_s)
    if asks_metrics(settings, state, current):
        state, desired, steps = _by_metrics(settings, state, target, values, now_s)
    else:
        desired, step = _without_metrics(settings, current)
        steps = (step,)
    if desired != current:
        state = note_rescale(settings, state, current, desired, now_s)
    return state, desired, steps


def _without_metrics(settings: HpaSettings, current: int) -> tuple[int, Step]:
    if current == 0:
        return 0, Step("hpa", 0, 0, "at rest: somebody else set the target to 0")
    if current > settings.max_replicas:
        size = settings.max_replicas
        return size, Step("hpa bounds", size, 0, f"{current} pods are above maxReplicas")
    size = settings.min_replicas
    return size, Step("hpa bounds", size, 0, f"{current} pods are below minReplicas")


def _by_metrics(
    settings: HpaSettings, state: HpaState, target: Target, values: Sequence[MetricValue], now_s: float
) -> tuple[HpaState, int, tuple[Step, ...]]:
    band = Band.of(settings)
    wishes = [propose(metric, value, target, band) for metric, value in zip(settings.metrics, values, strict=True)]
    best = largest(wishes, target.current)
    others = tuple(_step(wish, target) for wish in wishes if wish is not best) if len(wishes) > 1 else ()
    if isinstance(best, Failed):
        return state, target.current, (*others, _step(best, target))
    wanted = max(best.replicas, 0)
    state, desired, limits = limit(settings, state, target.current, wanted, now_s)
    return state, desired, (*others, _step(best, target), *limits)


def _step(wish: Wish | Failed, target: Target) -> Step:
    if isinstance(wish, Failed):
        return Step("hpa metric", target.current, 0, f"keeps its size: {wish.reason}")
    return Step("hpa metric", max(wish.replicas, 0), 0, wish.reason)
