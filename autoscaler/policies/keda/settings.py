"""What a ScaledObject (keda.sh/v1alpha1) says.

Defaults: kedacore/keda, apis/keda/v1alpha1/scaledobject_types.go and pkg/scalers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from autoscaler.policies.fields import FALSE_WORDS, Fields
from autoscaler.policies.hpa.settings import (
    Behavior,
    HpaSettings,
    MetricKind,
    MetricSpec,
    Select,
    TargetKind,
    read_behavior,
    read_milli,
)


class RabbitMode(StrEnum):
    """What a rabbitmq trigger looks at."""

    QUEUE_LENGTH = "QueueLength"
    MESSAGE_RATE = "MessageRate"
    DELIVER_GET_RATE = "DeliverGetRate"
    PUBLISHED_TO_DELIVERED_RATIO = "PublishedToDeliveredRatio"
    EXPECTED_CONSUMPTION_TIME = "ExpectedQueueConsumptionTime"


class FallbackBehavior(StrEnum):
    """Which size a failing trigger asks for."""

    STATIC = "static"
    CURRENT = "currentReplicas"
    CURRENT_IF_HIGHER = "currentReplicasIfHigher"
    CURRENT_IF_LOWER = "currentReplicasIfLower"


class OffsetReset(StrEnum):
    """Where a kafka consumer without an offset begins."""

    LATEST = "latest"
    EARLIEST = "earliest"


@dataclass(frozen=True, slots=True)
class PrometheusTrigger:
    """A query that returns one number."""

    name: str
    threshold: float
    activation: float = 0.0
    ignore_null: bool = True
    target_kind: TargetKind = TargetKind.AVERAGE_VALUE


@dataclass(frozen=True, slots=True)
class RabbitTrigger:
    """Messages of a queue and their rates."""

    name: str
    threshold: float
    mode: RabbitMode = RabbitMode.QUEUE_LENGTH
    activation: float = 0.0
    target_kind: TargetKind = TargetKind.AVERAGE_VALUE


@dataclass(frozen=True, slots=True)
class KafkaTrigger:
    """The lag of a consumer group on one topic."""

    name: str
    threshold: int = 10
    activation: int = 0
    offset_reset: OffsetReset = OffsetReset.LATEST
    allow_idle_consumers: bool = False
    zero_on_invalid_offset: bool = False
    exclude_persistent_lag: bool = False
    limit_to_partitions_with_lag: bool = False
    even_distribution: bool = False
    target_kind: TargetKind = TargetKind.AVERAGE_VALUE


@dataclass(frozen=True, slots=True)
class ResourceTrigger:
    """CPU or memory, left to the HPA."""

    name: str
    resource: str
    threshold: int
    """Percent for `Utilization`, else milli-units."""
    target_kind: TargetKind = TargetKind.UTILIZATION


Trigger = PrometheusTrigger | RabbitTrigger | KafkaTrigger | ResourceTrigger


@dataclass(frozen=True, slots=True)
class Fallback:
    """What to do when a trigger keeps failing."""

    failure_threshold: int
    replicas: int
    behavior: FallbackBehavior = FallbackBehavior.STATIC


@dataclass(frozen=True, slots=True)
class Switches:
    """The annotations that a person sets to hold or force a ScaledObject."""

    paused: bool = False
    paused_replicas: int | None = None
    paused_scale_in: bool = False
    paused_scale_out: bool = False
    force_activation: bool = False

    @staticmethod
    def from_annotations(annotations: Mapping[str, Any]) -> Switches:
        """From `metadata.annotations`; any word but those for false switches on.

        Raises:
            InvalidInput: `paused-replicas` is no number of pods.
        """
        own = {key.removeprefix(_PREFIX): value for key, value in annotations.items() if key.startswith(_PREFIX)}
        fields = Fields(own, "metadata.annotations.autoscaling.keda.sh")
        held = fields.integer("paused-replicas", -1)
        fields.finish()
        on = {key for key, value in own.items() if str(value) not in FALSE_WORDS}
        return Switches(
            paused="paused" in on or held >= 0,
            paused_replicas=held if held >= 0 else None,
            paused_scale_in="paused-scale-in" in on,
            paused_scale_out="paused-scale-out" in on,
            force_activation="force-activation" in on,
        )


_PREFIX = "autoscaling.keda.sh/"


@dataclass(frozen=True, slots=True)
class KedaSettings:
    """One ScaledObject."""

    triggers: tuple[Trigger, ...]
    min_replicas: int = 0
    max_replicas: int = 100
    idle_replicas: int | None = None
    polling_interval_s: int = 30
    cooldown_s: int = 300
    initial_cooldown_s: int = 0
    fallback: Fallback | None = None
    behavior: Behavior | None = None
    switches: Switches = Switches()

    @staticmethod
    def from_api(
        spec: Mapping[str, Any], annotations: Mapping[str, Any] | None = None, path: str = "spec"
    ) -> KedaSettings:
        """From the `spec` and the annotations of a ScaledObject.

        Raises:
            InvalidInput: unknown keys, values out of the API's limits, what cannot be replayed.
        """
        fields = Fields(spec, path)
        triggers = tuple(
            trigger
            for index, entry in enumerate(fields.children("triggers"))
            if (trigger := _read_trigger(entry, index)) is not None
        )
        settings = KedaSettings(
            triggers=triggers,
            min_replicas=fields.integer("minReplicaCount", 0),
            max_replicas=fields.integer("maxReplicaCount", 100, low=1),
            idle_replicas=fields.integer("idleReplicaCount", 0) if "idleReplicaCount" in fields else None,
            polling_interval_s=fields.integer("pollingInterval", 30, low=1),
            cooldown_s=fields.integer("cooldownPeriod", 300),
            initial_cooldown_s=fields.integer("initialCooldownPeriod", 0),
            fallback=_read_fallback(fields.child("fallback")) if "fallback" in fields else None,
            behavior=_read_advanced(fields.child("advanced")),
            switches=Switches.from_annotations(annotations or {}),
        )
        fields.skip("scaleTargetRef", "idleReplicaCount", "fallback")
        if not triggers and not fields.problems:
            fields.fault("triggers", "at least one that can be replayed")
        if settings.min_replicas > settings.max_replicas:
            fields.fault("minReplicaCount", f"at most maxReplicaCount ({settings.max_replicas})")
        if settings.idle_replicas is not None and settings.idle_replicas >= settings.min_replicas:
            fields.fault("idleReplicaCount", f"below minReplicaCount ({settings.min_replicas})")
        fields.close()
        fields.finish()
        return settings

    def hpa(self, switches: Switches) -> HpaSettings:
        """The HPA that KEDA keeps for this object; a paused direction is a disabled rule there."""
        return HpaSettings(
            max_replicas=self.max_replicas,
            min_replicas=max(1, self.min_replicas),
            metrics=tuple(_metric(trigger) for trigger in self.triggers),
            behavior=_with_pauses(self.behavior, switches),
        )


def written_milli(value: float) -> int:
    """A value as KEDA writes it: three decimals; nothing for NaN, infinite and negative ones."""
    if not 0.0 <= value < math.inf:
        return 0
    return int(f"{value:.3f}".replace(".", ""))


def _metric(trigger: Trigger) -> MetricSpec:
    if isinstance(trigger, ResourceTrigger):
        return MetricSpec(MetricKind.RESOURCE, trigger.resource, trigger.target_kind, trigger.threshold)
    return MetricSpec(MetricKind.EXTERNAL, trigger.name, trigger.target_kind, written_milli(trigger.threshold))


def _with_pauses(behavior: Behavior | None, switches: Switches) -> Behavior | None:
    if not (switches.paused_scale_in or switches.paused_scale_out):
        return behavior
    base = behavior or Behavior()
    return Behavior(
        up=replace(base.up, select=Select.DISABLED) if switches.paused_scale_out else base.up,
        down=replace(base.down, select=Select.DISABLED) if switches.paused_scale_in else base.down,
    )


def _read_advanced(fields: Fields) -> Behavior | None:
    if "scalingModifiers" in fields:
        fields.fault("scalingModifiers", "cannot be replayed: its formula is not evaluated here")
    fields.skip("restoreToOriginalReplicaCount", "scalingModifiers")
    config = fields.child("horizontalPodAutoscalerConfig")
    behavior = read_behavior(config.child("behavior"), 300) if "behavior" in config else None
    config.skip("name", "behavior")
    config.close()
    fields.close()
    return behavior


def _read_fallback(fields: Fields) -> Fallback:
    for key in ("failureThreshold", "replicas"):
        if key not in fields:
            fields.fault(key, "required")
    fallback = Fallback(
        failure_threshold=fields.integer("failureThreshold", 3),
        replicas=fields.integer("replicas", 0),
        behavior=fields.choice("behavior", FallbackBehavior.STATIC),
    )
    fields.close()
    return fallback


def _read_trigger(fields: Fields, index: int) -> Trigger | None:
    kind = str(fields.raw("type"))
    name = fields.text("name", f"s{index}-{kind}")
    resource = kind in ("cpu", "memory")
    target_kind = fields.choice("metricType", TargetKind.UTILIZATION if resource else TargetKind.AVERAGE_VALUE)
    if (target_kind is TargetKind.VALUE) if resource else (target_kind is TargetKind.UTILIZATION):
        fields.fault("metricType", "Utilization is for cpu and memory, Value for the others")
    if fields.flag("useCachedMetrics", default=False):
        fields.fault("useCachedMetrics", "cannot be replayed")
    fields.skip("authenticationRef")
    metadata = fields.child("metadata")
    trigger: Trigger | None = None
    if kind == "prometheus":
        trigger = _read_prometheus(metadata, name, target_kind)
    elif kind == "rabbitmq":
        trigger = _read_rabbitmq(metadata, name, target_kind)
    elif kind == "kafka":
        trigger = _read_kafka(metadata, name, target_kind)
    elif resource:
        trigger = _read_resource(metadata, name, kind, target_kind)
    else:
        fields.fault("type", "one of prometheus, rabbitmq, kafka, cpu, memory; no other trigger can be replayed")
    fields.close()
    return trigger


def _read_prometheus(fields: Fields, name: str, target_kind: TargetKind) -> PrometheusTrigger:
    if "threshold" not in fields:
        fields.fault("threshold", "required")
    return PrometheusTrigger(
        name=name,
        threshold=fields.number("threshold", 1.0),
        activation=fields.number("activationThreshold", 0.0),
        ignore_null=fields.flag("ignoreNullValues", default=True),
        target_kind=target_kind,
    )


def _read_rabbitmq(fields: Fields, name: str, target_kind: TargetKind) -> RabbitTrigger:
    if "value" not in fields:
        fields.fault("value", "required")
    return RabbitTrigger(
        name=name,
        threshold=fields.number("value", 1.0),
        mode=fields.choice("mode", RabbitMode.QUEUE_LENGTH),
        activation=fields.number("activationValue", 0.0),
        target_kind=target_kind,
    )


def _read_kafka(fields: Fields, name: str, target_kind: TargetKind) -> KafkaTrigger:
    return KafkaTrigger(
        name=name,
        threshold=fields.integer("lagThreshold", 10, low=1),
        activation=fields.integer("activationLagThreshold", 0),
        offset_reset=fields.choice("offsetResetPolicy", OffsetReset.LATEST),
        allow_idle_consumers=fields.flag("allowIdleConsumers", default=False),
        zero_on_invalid_offset=fields.flag("scaleToZeroOnInvalidOffset", default=False),
        exclude_persistent_lag=fields.flag("excludePersistentLag", default=False),
        limit_to_partitions_with_lag=fields.flag("limitToPartitionsWithLag", default=False),
        even_distribution=fields.flag("ensureEvenDistributionOfPartitions", default=False),
        target_kind=target_kind,
    )


def _read_resource(fields: Fields, name: str, resource: str, target_kind: TargetKind) -> ResourceTrigger:
    if "value" not in fields:
        fields.fault("value", "required")
    utilization = target_kind is TargetKind.UTILIZATION
    threshold = fields.integer("value", 80, low=1) if utilization else read_milli(fields, "value")
    return ResourceTrigger(name, resource, threshold, target_kind)
