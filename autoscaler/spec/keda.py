"""The fields of a KEDA ScaledObject that say how it scales, as its own API names them.

Limits: kedacore/keda, apis/keda/v1alpha1/scaledobject_types.go and pkg/scalers/prometheus_scaler.go.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from autoscaler.spec.base import Model, Text
from autoscaler.spec.hpa import Behavior
from autoscaler.spec.signals import Query, Url
from autoscaler.spec.values import Count, LenientFlag, LenientReal, within

Seconds = Annotated[Count, Field(ge=0, le=10_000_000)]


class PrometheusMetadata(Model):
    """Settings of the `prometheus` scaler; KEDA wants them as text, numbers are taken too."""

    query: Query
    """PromQL with one series as its answer."""
    threshold: Annotated[LenientReal, within(above=0)]
    """Value for each pod (or, with `metricType: Value`, as a whole) at which the size is right."""
    activation_threshold: LenientReal = 0.0
    """The target leaves zero above this."""
    ignore_null_values: LenientFlag = True
    """An empty answer, NaN and Inf count as 0; false makes them errors."""
    server_address: Url | None = None
    """The Prometheus; here it is `signals.prometheus.url`, and where both are given they must be the same."""
    namespace: Text | None = None
    """A namespace for servers that want one."""
    custom_headers: Text | None = None
    """How KEDA asks; without meaning here."""
    query_parameters: Text | None = None
    """How KEDA asks; without meaning here."""
    cortex_org_id: Text | None = Field(default=None, alias="cortexOrgID")
    """How KEDA asks; without meaning here."""
    unsafe_ssl: LenientFlag | None = None
    """How KEDA asks; without meaning here."""
    auth_modes: Text | None = None
    """How KEDA asks; without meaning here."""
    timeout: Text | LenientReal | None = None
    """How KEDA asks; without meaning here."""


class AuthenticationRef(Model):
    """Where KEDA finds the credentials of a trigger."""

    name: Text
    """Name of a TriggerAuthentication."""
    kind: Text | None = None
    """TriggerAuthentication (default) or ClusterTriggerAuthentication."""


class TriggerBase(Model):
    """What every trigger may have."""

    name: Text | None = None
    """A name of its own; default: s0-prometheus, s1-prometheus, …"""
    use_cached_metrics: LenientFlag | None = None
    """Syncs between two polls see the value of the last poll."""
    authentication_ref: AuthenticationRef | None = None
    """Here credentials stand in `signals.prometheus.auth`."""


class PrometheusTrigger(TriggerBase):
    """A PromQL query."""

    type: Literal["prometheus"]
    metric_type: Literal["AverageValue", "Value"] = "AverageValue"
    """`AverageValue` shares the value out over the pods, `Value` holds it."""
    metadata: PrometheusMetadata


class RabbitmqMetadata(Model):
    """Settings of the `rabbitmq` scaler that say how it scales; how it connects is left to KEDA."""

    model_config = ConfigDict(extra="allow")

    mode: Literal[
        "QueueLength", "MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime"
    ] = "QueueLength"
    """What is looked at."""
    value: Annotated[LenientReal, within(above=0)]
    """Value for each pod at which the size is right."""
    activation_value: LenientReal = 0.0
    """The target leaves zero above this."""
    protocol: Literal["auto", "amqp", "http"] = "auto"
    """How the broker is asked: over `amqp` only messages that wait are counted."""
    exclude_unacknowledged: LenientFlag = False
    """Over `http`, messages in work count too unless this is set."""


class RabbitmqTrigger(TriggerBase):
    """The queue in front of the pods; a replay takes its own queue for it."""

    type: Literal["rabbitmq"]
    metric_type: Literal["AverageValue", "Value"] = "AverageValue"
    """`AverageValue` shares the value out over the pods, `Value` holds it."""
    metadata: RabbitmqMetadata


class OtherTrigger(TriggerBase):
    """Any other scaler of KEDA; a replay names it and leaves it out."""

    type: Text = Field(json_schema_extra={"not": {"enum": ["prometheus", "rabbitmq"]}})
    """A scaler of KEDA's list."""
    metric_type: Literal["AverageValue", "Value", "Utilization"] | None = None
    """`Utilization` is for cpu and memory."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """The scaler's own settings."""


def _scaler(data: object) -> str:
    kind = data.get("type") if isinstance(data, dict) else getattr(data, "type", None)
    return kind if kind in ("prometheus", "rabbitmq") else "another scaler"


Trigger = Annotated[
    Annotated[PrometheusTrigger, Tag("prometheus")]
    | Annotated[RabbitmqTrigger, Tag("rabbitmq")]
    | Annotated[OtherTrigger, Tag("another scaler")],
    Discriminator(_scaler),
]


class Fallback(Model):
    """The size to take when a trigger keeps failing."""

    failure_threshold: Annotated[Count, Field(ge=0, le=2**31 - 1)]
    """More failures in a row than this."""
    replicas: Annotated[Count, Field(ge=0, le=10_000)]
    """The size, where the behavior takes it."""
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"] = "static"
    """The size above, today's, or the higher or lower of the two."""


class HpaConfig(Model):
    """What KEDA passes on to the HPA that it keeps."""

    name: Text | None = None
    """What the HPA is called."""
    behavior: Behavior | None = None


class Advanced(Model):
    """The rarely used part of a ScaledObject."""

    restore_to_original_replica_count: LenientFlag | None = None
    """What happens when the ScaledObject is deleted."""
    horizontal_pod_autoscaler_config: HpaConfig | None = None
    scaling_modifiers: dict[str, Any] | None = None
    """A formula over the triggers."""


class KedaRule(Model):
    """The rule of a KEDA ScaledObject, with its own field names; bounds stand in `replicas`."""

    type: Literal["keda"]
    triggers: Annotated[tuple[Trigger, ...], Field(min_length=1)]
    """The trigger that asks for most rules."""
    polling_interval: Annotated[Seconds, Field(ge=1)] = 30
    """Seconds between two looks at whether to leave zero or to return to it."""
    cooldown_period: Seconds = 300
    """Seconds without activity before the return to zero."""
    initial_cooldown_period: Seconds = 0
    """Seconds after creation before the first return to zero."""
    idle_replica_count: Annotated[Count, Field(ge=0)] | None = None
    """The size without activity, below `replicas.min`; KEDA itself recommends only 0."""
    fallback: Fallback | None = None
    advanced: Advanced | None = None
