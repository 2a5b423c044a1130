"""The settings of Knative's pod autoscaler (KPA), as its ConfigMap and annotations name them.

Limits: knative/serving, pkg/autoscaler/config and pkg/apis/autoscaling.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from autoscaler.spec.base import Model
from autoscaler.spec.values import Count, DurationOrZero, LenientFlag, LenientReal, within


def to_kebab(name: str) -> str:
    """`stable_window` as Knative writes it."""
    return name.replace("_", "-")


def _between(low_s: float, high_s: float, allowed: str) -> AfterValidator:
    def check(seconds: float) -> float:
        if not low_s <= seconds <= high_s:
            raise ValueError(allowed)
        return seconds

    return AfterValidator(check)


UpToAnHour = Annotated[DurationOrZero, _between(0, 3600, "from 0s to 1h")]


class KpaRule(Model):
    """The rule of Knative's KPA; bounds (`min-scale`, `max-scale`) stand in `replicas`.

    Keys are those of the ConfigMap `config-autoscaler` and of the annotations `autoscaling.knative.dev/…`.
    """

    model_config = ConfigDict(alias_generator=to_kebab)

    type: Literal["kpa"]
    metric: Literal["concurrency", "rps"] = "concurrency"
    """What is averaged: requests in the system, or requests per second."""
    container_concurrency: Annotated[Count, Field(ge=0, le=1000)] = Field(default=0, alias="containerConcurrency")
    """Requests that one pod takes at a time, as in the revision; 0: no limit, then 100 counts."""
    target: Annotated[LenientReal, within(0.01)] | None = None
    """What one pod can take; default: containerConcurrency, or 200 requests/s with `metric: rps`."""
    target_utilization_percentage: Annotated[LenientReal, within(1, 100)] = 70.0
    """Share of it that is aimed at: the KPA's only headroom."""
    stable_window_s: Annotated[DurationOrZero, _between(6, 3600, "from 6s to 1h")] = Field(
        default=60.0, alias="stable-window"
    )
    """The average that rules in calm times."""
    panic_window_percentage: Annotated[LenientReal, within(1, 100)] = 10.0
    """The panic window, in percent of the stable one."""
    panic_threshold_percentage: Annotated[LenientReal, within(110, 1000)] = 200.0
    """Panic begins when the panic window asks for this share of the ready pods."""
    max_scale_up_rate: Annotated[LenientReal, within(above=1)] = 1000.0
    """At most this many times the ready pods in one decision."""
    max_scale_down_rate: Annotated[LenientReal, within(above=1)] = 2.0
    """At least the ready pods divided by this."""
    scale_down_delay_s: UpToAnHour = Field(default=0.0, alias="scale-down-delay")
    """The highest wish of this long rules."""
    activation_scale: Annotated[Count, Field(ge=1)] = 1
    """The least size that is not zero."""
    metric_aggregation_algorithm: Literal["linear", "weighted-exponential"] = "linear"
    """How a window is averaged."""
    initial_scale: Annotated[Count, Field(ge=0)] = 1
    """The size of a new revision."""
    target_burst_capacity: Annotated[LenientReal, within(-1)] = 211.0
    """When requests go through the activator."""
    enable_scale_to_zero: LenientFlag = True
    """Whether the last pod may go, where `replicas.min` is 0."""
    scale_to_zero_grace_period_s: Annotated[DurationOrZero, _between(6, 3600, "from 6s to 1h")] = Field(
        default=30.0, alias="scale-to-zero-grace-period"
    )
    """Longest wait for the activator before zero."""
    scale_to_zero_pod_retention_period_s: UpToAnHour = Field(default=0.0, alias="scale-to-zero-pod-retention-period")
    """The last pod stays at least this long."""
