"""From one metric to a number of pods, and from several to one.

Source: Kubernetes v1.36, pkg/controller/podautoscaler/replica_calculator.go. Ratios are 64-bit floats,
amounts whole milli-units; what would overflow 32 bits is held at the largest number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscaler.policies.fields import INT32_MAX
from autoscaler.policies.hpa.pods import PodUsage
from autoscaler.policies.hpa.quantity import INT64_MAX
from autoscaler.policies.hpa.settings import HpaSettings, MetricKind, MetricSpec, TargetKind


@dataclass(frozen=True, slots=True)
class Failed:
    """A query that brought nothing usable."""

    reason: str


@dataclass(frozen=True, slots=True)
class Values:
    """What an External metric (any number of series) or an Object metric (one) says, in milli-units."""

    milli: tuple[int, ...]


MetricValue = Failed | Values | PodUsage


@dataclass(frozen=True, slots=True)
class Target:
    """The scale target at one sync."""

    current: int
    """spec.replicas."""
    status: int
    """status.replicas."""
    ready: int
    """Pods Running and Ready."""
    listed: int
    """Pods of the selector."""


@dataclass(frozen=True, slots=True)
class Band:
    """Ratios that change nothing, bounds included."""

    low: float
    high: float

    @staticmethod
    def of(settings: HpaSettings) -> Band:
        """The controller's tolerance, or that of each direction's rule."""
        down = up = settings.tolerance
        if settings.behavior is not None:
            down = down if settings.behavior.down.tolerance is None else settings.behavior.down.tolerance
            up = up if settings.behavior.up.tolerance is None else settings.behavior.up.tolerance
        return Band(1.0 - down, 1.0 + up)

    def holds(self, ratio: float) -> bool:
        """The ratio is close enough to 1."""
        return self.low <= ratio <= self.high


@dataclass(frozen=True, slots=True)
class Wish:
    """What one metric asks for."""

    replicas: int
    reason: str


def propose(metric: MetricSpec, value: MetricValue, target: Target, band: Band) -> Wish | Failed:
    """The number of pods that one metric asks for."""
    if isinstance(value, Failed):
        return Failed(f"{metric.name}: {value.reason}")
    if isinstance(value, PodUsage):
        return _per_pod(metric, value, target, band)
    if not value.milli:
        return Failed(f"{metric.name}: no series")
    if metric.target_kind is TargetKind.AVERAGE_VALUE:
        return _average_value(metric, value, target, band)
    return _value(metric, value, target, band)


def largest(wishes: Sequence[Wish | Failed], current: int) -> Wish | Failed:
    """The largest wish. A failed metric blocks every decrease; if all fail, so does the whole."""
    failures = [wish.reason for wish in wishes if isinstance(wish, Failed)]
    good = [wish for wish in wishes if isinstance(wish, Wish)]
    if not good:
        return Failed("; ".join(failures))
    best = max(good, key=lambda wish: wish.replicas)
    if failures and best.replicas < current:
        return Failed(f"{'; '.join(failures)}; no decrease to {best.replicas} while a metric fails")
    return best


def show(milli: int) -> str:
    """Milli-units for a person."""
    return f"{milli / 1000:g}"


def _average_value(metric: MetricSpec, value: Values, target: Target, band: Band) -> Wish:
    """External or Object against so much a pod: neither readiness nor spec.replicas play a part."""
    used = _guarded_sum(value.milli) if metric.kind is MetricKind.EXTERNAL else sum(value.milli)
    capacity = metric.target * target.status
    ratio = used / capacity if capacity else math.copysign(math.inf, used) if used else math.nan
    said = f"{metric.name} {show(used)} on {target.status} pods, target {show(metric.target)} a pod"
    if band.holds(ratio):
        return Wish(target.status, f"{said}: ratio {ratio:.3f} is within the tolerance")
    wanted = _ceil(used / metric.target)
    return Wish(wanted, f"{said}: ratio {ratio:.3f} asks for {wanted}")


def _guarded_sum(milli: tuple[int, ...]) -> int:
    """The controller takes any negative sum for an overflow, and an overflow for the largest number."""
    total = 0
    for value in milli:
        total += value
        if not 0 <= total <= INT64_MAX:
            return INT64_MAX
    return total


def _value(metric: MetricSpec, value: Values, target: Target, band: Band) -> Wish | Failed:
    """External or Object against a total: multiplies the pods that are ready."""
    used = min(sum(value.milli), INT64_MAX)
    ratio = used / metric.target
    said = f"{metric.name} {show(used)}, target {show(metric.target)}"
    if target.current == 0:
        return Wish(_ceil(ratio), f"{said}: ratio {ratio:.3f} from 0 pods")
    if band.holds(ratio):
        return Wish(target.current, f"{said}: ratio {ratio:.3f} is within the tolerance")
    if target.listed == 0:
        return Failed(f"{metric.name}: the target has no pods to multiply")
    wanted = _ceil(ratio * target.ready)
    return Wish(wanted, f"{said}: ratio {ratio:.3f} times {target.ready} ready pods asks for {wanted}")


def _per_pod(metric: MetricSpec, usage: PodUsage, target: Target, band: Band) -> Wish | Failed:
    """Pods and Resource metrics: mean over the pods that count."""
    fault = _unusable(usage, target, utilization=metric.target_kind is TargetKind.UTILIZATION)
    if fault:
        return Failed(f"{metric.name}: {fault}")
    ratio = _usage_ratio(metric, usage)
    said = f"{metric.name} at {ratio:.3f} of its target"
    if usage.missing or (usage.unready and ratio > 1.0):
        return _per_padded_pod(metric, usage, ratio, target, band)
    if band.holds(ratio):
        return Wish(target.current, f"{said}: within the tolerance")
    wanted = _ceil(ratio * usage.ready)
    return Wish(wanted, f"{said}: times {usage.ready} ready pods asks for {wanted}")


def _per_padded_pod(metric: MetricSpec, usage: PodUsage, ratio: float, target: Target, band: Band) -> Wish:
    """With cautious guesses for the pods that lack a sample; guesses never turn the direction."""
    padded = _padded(metric, usage, ratio)
    guess = _usage_ratio(metric, padded)
    said = f"{metric.name} at {ratio:.3f} of its target, {guess:.3f} with {padded.samples - usage.samples} pods guessed"
    if band.holds(guess):
        return Wish(target.current, f"{said}: within the tolerance")
    if (ratio < 1.0 < guess) or (guess < 1.0 < ratio):
        return Wish(target.current, f"{said}: on the other side of 1, no change")
    wanted = _ceil(guess * padded.samples)
    if (guess < 1.0 and wanted > target.current) or (guess > 1.0 and wanted < target.current):
        return Wish(target.current, f"{said}: {wanted} would go the other way, no change")
    return Wish(wanted, f"{said}: times {padded.samples} pods asks for {wanted}")


def _unusable(usage: PodUsage, target: Target, *, utilization: bool) -> str:
    if target.listed == 0:
        return "the target has no pods"
    if usage.samples == 0:
        return "no pod that counts reports it"
    if utilization and usage.without_request:
        return f"pod {usage.without_request} requests none of it"
    if utilization and usage.requested == 0:
        return "no sample of a known pod"
    return ""


def _usage_ratio(metric: MetricSpec, usage: PodUsage) -> float:
    if metric.target_kind is TargetKind.UTILIZATION:
        return _truncated(100 * usage.listed_used, usage.requested) / metric.target
    return _truncated(usage.used, usage.samples) / metric.target


def _padded(metric: MetricSpec, usage: PodUsage, ratio: float) -> PodUsage:
    """Pods without a sample use their target below it and nothing above it; unready pods use nothing above it."""
    samples, used = usage.samples, usage.used
    listed_used, requested = usage.listed_used, usage.requested
    if ratio != 1.0:
        samples += usage.missing
        requested += sum(usage.missing_requests)
    if ratio < 1.0:
        used += metric.target * usage.missing
        percent = max(100, metric.target)
        listed_used += sum(_truncated(request * percent, 100) for request in usage.missing_requests)
    if ratio > 1.0:
        samples += usage.unready
        requested += usage.unready_requested
    return replace(usage, samples=samples, used=used, listed_used=listed_used, requested=requested)


def _truncated(dividend: int, divisor: int) -> int:
    """Whole-number division towards zero, as Go does it."""
    quotient = abs(dividend) // divisor
    return quotient if dividend >= 0 else -quotient


def _ceil(replicas: float) -> int:
    """The next whole number; NaN (0 of 0) counts as none."""
    if replicas != replicas:  # noqa: PLR0124 - NaN
        return 0
    return math.ceil(max(min(replicas, INT32_MAX), -INT32_MAX))
