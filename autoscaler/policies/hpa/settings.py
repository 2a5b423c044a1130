"""What a HorizontalPodAutoscaler (autoscaling/v2) and the flags of its controller say.

Defaults and limits: Kubernetes v1.36, pkg/apis/autoscaling/v2/defaults.go and validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autoscaler.policies.fields import Fields
from autoscaler.policies.hpa.quantity import milli, parse_quantity


class MetricKind(StrEnum):
    """Where a metric comes from."""

    EXTERNAL = "External"
    OBJECT = "Object"
    PODS = "Pods"
    RESOURCE = "Resource"


class TargetKind(StrEnum):
    """What a metric's target means."""

    AVERAGE_VALUE = "AverageValue"
    VALUE = "Value"
    UTILIZATION = "Utilization"


class Select(StrEnum):
    """Which of several policies of a rule counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class LimitKind(StrEnum):
    """In what a policy of a rule counts."""

    PODS = "Pods"
    PERCENT = "Percent"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric and the value it is held at."""

    kind: MetricKind
    name: str
    target_kind: TargetKind
    target: int
    """Milli-units; whole percent of the request for `Utilization`."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A policy of a rule: so much change within so long."""

    kind: LimitKind
    value: int
    """Pods or percent."""
    period_s: int


@dataclass(frozen=True, slots=True)
class Rules:
    """One direction of `behavior`, complete."""

    stabilization_s: int
    select: Select
    limits: tuple[Limit, ...]
    tolerance: float | None = None
    """Overrides the controller's."""


_PERCENT_100 = Limit(LimitKind.PERCENT, 100, 15)
DEFAULT_UP = Rules(0, Select.MAX, (Limit(LimitKind.PODS, 4, 15), _PERCENT_100))
DEFAULT_DOWN = Rules(300, Select.MAX, (_PERCENT_100,))


@dataclass(frozen=True, slots=True)
class Behavior:
    """`behavior` with its defaults filled in; not the same as no behavior."""

    up: Rules = DEFAULT_UP
    down: Rules = DEFAULT_DOWN

    @staticmethod
    def from_api(raw: Mapping[str, Any], path: str = "behavior", downscale_stabilization_s: int = 300) -> Behavior:
        """From `spec.behavior`.

        Raises:
            InvalidInput: unknown keys or values out of the API's limits.
        """
        fields = Fields(raw, path)
        behavior = read_behavior(fields, downscale_stabilization_s)
        fields.finish()
        return behavior


DEFAULT_METRIC = MetricSpec(MetricKind.RESOURCE, "cpu", TargetKind.UTILIZATION, 80)


@dataclass(frozen=True, slots=True)
class HpaSettings:
    """One HPA and the flags of kube-controller-manager that rule it."""

    max_replicas: int
    min_replicas: int = 1
    metrics: tuple[MetricSpec, ...] = (DEFAULT_METRIC,)
    behavior: Behavior | None = None
    tolerance: float = 0.1
    downscale_stabilization_s: int = 300
    cpu_initialization_s: int = 300
    initial_readiness_delay_s: int = 30
    scale_to_zero: bool = False
    """The feature gate HPAScaleToZero."""

    @staticmethod
    def from_api(
        spec: Mapping[str, Any], controller: Mapping[str, Any] | None = None, path: str = "spec"
    ) -> HpaSettings:
        """From the `spec` of an autoscaling/v2 HorizontalPodAutoscaler and the flags that differ from the defaults.

        Flags: `tolerance`, `downscaleStabilizationSeconds`, `cpuInitializationPeriodSeconds`,
        `initialReadinessDelaySeconds`, `HPAScaleToZero`.

        Raises:
            InvalidInput: unknown keys, values out of the API's limits, min above max, what cannot be replayed.
        """
        problems: list[str] = []
        flags = Fields(controller, "controller", problems)
        fields = Fields(spec, path, problems)
        down_s = flags.integer("downscaleStabilizationSeconds", 300)
        metrics = tuple(m for entry in fields.children("metrics") if (m := _read_metric(entry)) is not None)
        settings = HpaSettings(
            max_replicas=fields.integer("maxReplicas", 0, low=1),
            min_replicas=fields.integer("minReplicas", 1),
            metrics=metrics or (DEFAULT_METRIC,),
            behavior=read_behavior(fields.child("behavior"), down_s) if "behavior" in fields else None,
            tolerance=flags.number("tolerance", 0.1, low=0.0),
            downscale_stabilization_s=down_s,
            cpu_initialization_s=flags.integer("cpuInitializationPeriodSeconds", 300),
            initial_readiness_delay_s=flags.integer("initialReadinessDelaySeconds", 30),
            scale_to_zero=flags.flag("HPAScaleToZero", default=False),
        )
        fields.skip("scaleTargetRef", "behavior")
        _check_bounds(settings, fields)
        for part in (flags, fields):
            part.close()
        fields.finish()
        return settings


def _check_bounds(settings: HpaSettings, fields: Fields) -> None:
    if "maxReplicas" not in fields:
        fields.fault("maxReplicas", "required")
    elif settings.min_replicas > settings.max_replicas:
        fields.fault("minReplicas", f"at most maxReplicas ({settings.max_replicas})")
    if settings.min_replicas == 0 and not settings.scale_to_zero:
        fields.fault("minReplicas", "at least 1 unless the feature gate HPAScaleToZero is on")
    outside = (MetricKind.OBJECT, MetricKind.EXTERNAL)
    if settings.min_replicas == 0 and not any(metric.kind in outside for metric in settings.metrics):
        fields.fault("minReplicas", "0 needs an Object or External metric")


def _read_metric(fields: Fields) -> MetricSpec | None:
    if fields.raw("type") not in _SOURCE_KEYS:
        fields.fault("type", f"one of {', '.join(MetricKind)}; no other kind can be replayed")
        return None
    kind = fields.choice("type", MetricKind.EXTERNAL)
    source = fields.child(_SOURCE_KEYS[kind])
    if kind is MetricKind.RESOURCE:
        name = source.text("name")
    else:
        metric = source.child("metric")
        name = metric.text("name")
        metric.skip("selector")
        metric.close()
    if kind is MetricKind.OBJECT:
        source.skip("describedObject")
    target = _read_target(source.child("target"), kind)
    source.close()
    fields.close()
    return MetricSpec(kind, name, *target) if target else None


_SOURCE_KEYS: Mapping[object, str] = {
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_TARGETS = {
    MetricKind.EXTERNAL: (TargetKind.AVERAGE_VALUE, TargetKind.VALUE),
    MetricKind.OBJECT: (TargetKind.AVERAGE_VALUE, TargetKind.VALUE),
    MetricKind.PODS: (TargetKind.AVERAGE_VALUE,),
    MetricKind.RESOURCE: (TargetKind.AVERAGE_VALUE, TargetKind.UTILIZATION),
}
_AMOUNT_KEYS = {TargetKind.AVERAGE_VALUE: "averageValue", TargetKind.VALUE: "value"}


def _read_target(fields: Fields, kind: MetricKind) -> tuple[TargetKind, int] | None:
    allowed = _TARGETS[kind]
    target = fields.choice("type", allowed[0])
    if target not in allowed:
        fields.fault("type", f"one of {', '.join(allowed)} for a {kind} metric")
        return None
    if target is TargetKind.UTILIZATION:
        amount = fields.integer("averageUtilization", 0, low=1)
        missing = "averageUtilization" not in fields
        key = "averageUtilization"
    else:
        key = _AMOUNT_KEYS[target]
        missing = key not in fields
        amount = read_milli(fields, key)
    if missing:
        fields.fault(key, f"required with type {target}")
    fields.close()
    return target, amount


def read_milli(fields: Fields, key: str) -> int:
    """A positive quantity in milli-units."""
    try:
        amount = milli(str(fields.raw(key) or 0))
    except ValueError:
        amount = 0
    if amount <= 0 and key in fields:
        fields.fault(key, "a quantity above 0 such as 10, 500m or 128Mi")
    return amount


def read_behavior(fields: Fields, downscale_stabilization_s: int) -> Behavior:
    """`behavior` with the API's defaults; problems stay in `fields`."""
    down = Rules(downscale_stabilization_s, DEFAULT_DOWN.select, DEFAULT_DOWN.limits)
    behavior = Behavior(
        up=_read_rules(fields.child("scaleUp"), DEFAULT_UP),
        down=_read_rules(fields.child("scaleDown"), down),
    )
    fields.close()
    return behavior


def _read_rules(fields: Fields, default: Rules) -> Rules:
    limits = tuple(_read_limit(entry) for entry in fields.children("policies"))
    rules = Rules(
        stabilization_s=fields.integer("stabilizationWindowSeconds", default.stabilization_s, high=3600),
        select=fields.choice("selectPolicy", default.select),
        limits=limits or default.limits,
        tolerance=_read_tolerance(fields),
    )
    if "policies" in fields and not limits:
        fields.fault("policies", "at least one")
    fields.close()
    return rules


def _read_limit(fields: Fields) -> Limit:
    limit = Limit(
        kind=fields.choice("type", LimitKind.PODS),
        value=fields.integer("value", 1, low=1),
        period_s=fields.integer("periodSeconds", 15, low=1, high=1800),
    )
    fields.close()
    return limit


def _read_tolerance(fields: Fields) -> float | None:
    raw = fields.raw("tolerance")
    if raw is None:
        return None
    try:
        tolerance = float(parse_quantity(str(raw)))
    except ValueError:
        tolerance = -1.0
    if tolerance < 0:
        fields.fault("tolerance", "a quantity of at least 0 such as 0.05")
        return None
    return tolerance
