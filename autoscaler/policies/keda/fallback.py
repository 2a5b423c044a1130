"""What KEDA answers for a trigger that keeps failing.

Source: kedacore/keda, pkg/fallback/fallback.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.policies.hpa.settings import TargetKind
from autoscaler.policies.keda.scalers import Measured, Unanswered
from autoscaler.policies.keda.settings import Fallback, FallbackBehavior, ResourceTrigger, Trigger


@dataclass(frozen=True, slots=True)
class Size:
    """The scale target as KEDA sees it."""

    current: int
    """spec.replicas."""
    ready: int


def fall_back(
    fallback: Fallback | None, trigger: Trigger, failures: int, error: Unanswered, size: Size
) -> Measured | Unanswered:
    """The answer after so many failures in a row: the error itself, or what leads the HPA to the fallback's size."""
    if fallback is None or isinstance(trigger, ResourceTrigger) or failures <= fallback.failure_threshold:
        return error
    amount = trigger.threshold * 1000.0 * fallback_replicas(fallback, size.current)
    if trigger.target_kind is TargetKind.VALUE:
        if size.ready == 0:
            return Unanswered(f"{error.reason}; no fallback without ready pods")
        amount /= size.ready
    return Measured(int(amount), active=True)


def fallback_replicas(fallback: Fallback, current: int) -> int:
    """The size a failing trigger asks for."""
    if fallback.behavior is FallbackBehavior.CURRENT:
        return current
    if fallback.behavior is FallbackBehavior.CURRENT_IF_HIGHER:
        return max(current, fallback.replicas)
    if fallback.behavior is FallbackBehavior.CURRENT_IF_LOWER:
        return min(current, fallback.replicas)
    return fallback.replicas
