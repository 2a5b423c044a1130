"""The fields of an autoscaling/v2 HorizontalPodAutoscaler that say how it scales, as its own API names them.

Limits: Kubernetes v1.36, pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from autoscaler.spec.base import Model, Text
from autoscaler.spec.values import Count, Duration, DurationOrZero, Flag, Quantity, QuantityOrZero, Real, within


class MetricIdentifier(Model):
    """A metric by the name that the metrics API has for it."""

    name: Text
    """Here: a name of `signals.metrics`, or a gauge of the inference server."""
    selector: dict[str, Any] | None = None
    """Labels that choose series."""


class AverageTarget(Model):
    """A value for each pod."""

    type: Literal["AverageValue"]
    average_value: Quantity = Field(examples=["700m"])
    """Value for each pod at which the size is right."""


class ValueTarget(Model):
    """A value for the target as a whole."""

    type: Literal["Value"]
    value: Quantity
    """Value of the whole at which the size is right."""


class UtilizationTarget(Model):
    """A share of what the pods request."""

    type: Literal["Utilization"]
    average_utilization: Annotated[Count, Field(ge=1)]
    """Percent of the request."""


OneOrAll = Annotated[AverageTarget | ValueTarget, Field(discriminator="type")]
OneOrShare = Annotated[AverageTarget | UtilizationTarget, Field(discriminator="type")]


class PodsSource(Model):
    """A metric that each pod has; compared as the mean over pods."""

    metric: MetricIdentifier
    target: AverageTarget


class ExternalSource(Model):
    """A metric of something outside the cluster's objects."""

    metric: MetricIdentifier
    target: OneOrAll
    """A value for each pod, or for the target as a whole."""


class ObjectReference(Model):
    """The object that a metric describes."""

    api_version: Text | None = None
    """Group and version, such as networking.k8s.io/v1."""
    kind: Text
    """Kind, such as Ingress."""
    name: Text
    """Its name."""


class ObjectSource(Model):
    """A metric of one Kubernetes object."""

    described_object: ObjectReference
    metric: MetricIdentifier
    target: OneOrAll
    """A value for each pod, or for the target as a whole."""


class ResourceSource(Model):
    """CPU or memory of the pods."""

    name: Text
    """`cpu` or `memory`; what stands for it in a replay can be named in `signals.metrics`."""
    target: OneOrShare
    """A value for each pod, or a share of what the pods request."""


class ContainerResourceSource(Model):
    """CPU or memory of one container of the pods."""

    name: Text
    """`cpu` or `memory`."""
    container: Text
    """The container."""
    target: OneOrShare
    """A value for each pod, or a share of what the pods request."""


class PodsMetric(Model):
    """The mean over the pods is held at a value."""

    type: Literal["Pods"]
    pods: PodsSource


class ExternalMetric(Model):
    """A value is shared out over the pods (`AverageValue`) or held (`Value`)."""

    type: Literal["External"]
    external: ExternalSource


class ObjectMetric(Model):
    """As `External`, of a Kubernetes object."""

    type: Literal["Object"]
    object: ObjectSource


class ResourceMetric(Model):
    """CPU or memory; a replay has neither."""

    type: Literal["Resource"]
    resource: ResourceSource


class ContainerResourceMetric(Model):
    """CPU or memory of one container; a replay has neither."""

    type: Literal["ContainerResource"]
    container_resource: ContainerResourceSource


HpaMetric = Annotated[
    PodsMetric | ExternalMetric | ObjectMetric | ResourceMetric | ContainerResourceMetric,
    Field(discriminator="type"),
]


class ChangePolicy(Model):
    """At most so much change within a period."""

    type: Literal["Pods", "Percent"]
    """In what `value` counts: pods, or percent of the size at the start of the period."""
    value: Annotated[Count, Field(ge=1, le=1_000_000_000)]
    """The greatest change."""
    period_seconds: Annotated[Count, Field(ge=1, le=1800)]
    """Seconds over which changes are added up."""


class ScalingRules(Model):
    """How fast one direction may go."""

    stabilization_window_seconds: Annotated[Count, Field(ge=0, le=3600)] | None = None
    """The mildest wish of this long rules. Default: 0 up, the controller's 300 down."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Which of the policies counts: the greatest change (default), the least, or none at all."""
    policies: Annotated[tuple[ChangePolicy, ...], Field(min_length=1)] | None = None
    """Default up: 4 pods or 100 percent in 15 s; down: 100 percent in 15 s."""
    tolerance: QuantityOrZero | None = None
    """Dead band around the target, as a ratio. Default: the controller's."""


class Behavior(Model):
    """Rates and stabilisation; `{}` is not the same as none, it brings its own defaults."""

    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None


class ControllerFlags(Model):
    """Flags of kube-controller-manager, by their own names."""

    sync_period_s: Duration = Field(default=15.0, alias="horizontal-pod-autoscaler-sync-period")
    """Seconds between two decisions."""
    tolerance: Annotated[Real, within(0)] = Field(default=0.1, alias="horizontal-pod-autoscaler-tolerance")
    """Dead band around the target, as a ratio."""
    stabilization_s: DurationOrZero = Field(default=300.0, alias="horizontal-pod-autoscaler-downscale-stabilization")
    """The highest wish of this long rules on the way down."""
    cpu_initialization_s: DurationOrZero = Field(
        default=300.0, alias="horizontal-pod-autoscaler-cpu-initialization-period"
    )
    """CPU samples of younger pods are doubted."""
    initial_readiness_delay_s: DurationOrZero = Field(
        default=30.0, alias="horizontal-pod-autoscaler-initial-readiness-delay"
    )
    """A pod that is unready this soon after its start never was ready."""
    scale_to_zero: Flag = Field(default=False, alias="HPAScaleToZero")
    """The feature gate (alpha)."""


class HpaRule(Model):
    """The rule of the HorizontalPodAutoscaler, with its own field names; bounds stand in `replicas`."""

    type: Literal["hpa"]
    metrics: Annotated[tuple[HpaMetric, ...], Field(min_length=1)]
    """The metric that asks for most rules."""
    behavior: Behavior | None = None
    """Without it: at most twice the size or 4 pods at a time, and 300 s of patience on the way down."""
    controller: ControllerFlags = ControllerFlags()
    """The cluster's flags, where they differ from the defaults."""
