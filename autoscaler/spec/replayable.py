"""What of a policy a replay can carry out, and what not, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autoscaler.spec.document import Route
from autoscaler.spec.hpa import (
    ContainerResourceMetric,
    ExternalMetric,
    HpaMetric,
    HpaRule,
    ObjectMetric,
    PodsMetric,
    ResourceMetric,
)
from autoscaler.spec.keda import KedaRule, OtherTrigger, PrometheusTrigger, RabbitmqTrigger, Trigger
from autoscaler.spec.policy import PolicySpec, Rule
from autoscaler.spec.promql import ADAPTER_WINDOW_S, Measure, measured, measured_name
from autoscaler.spec.signals import Signals
from autoscaler.spec.values import format_duration


@dataclass(frozen=True, slots=True)
class Gap:
    """Something in a policy that a replay does not have."""

    route: Route
    text: str
    changes_decisions: bool = True
    """False: a replay decides as the real one does, the field matters elsewhere."""


def gaps(spec: PolicySpec) -> Iterator[Gap]:
    """All that a replay of this policy leaves out or assumes."""
    at: Route = ("spec", "policy")
    if isinstance(spec.policy, HpaRule):
        yield from _hpa_gaps(spec.policy, spec.signals, at)
    elif isinstance(spec.policy, KedaRule):
        yield from _keda_gaps(spec.policy, spec.signals, at)
    if spec.signals.queue is not None:
        text = "is read by a running controller; a replay's requests wait in its own pods"
        yield Gap(("spec", "signals", "queue"), text, False)
    if spec.signals.queries.model_fields_set:
        text = "are read by a running controller; a replay has these signals itself"
        yield Gap(("spec", "signals", "queries"), text, False)
    for name in spec.signals.metrics.keys() - _names(spec.policy):
        yield Gap(("spec", "signals", "metrics", name), "is not used: no metric of the rule has this name", False)


def _names(rule: Rule) -> set[str]:
    """The names that a rule looks up in `signals.metrics`."""
    if isinstance(rule, HpaRule):
        return {metric_name(metric) for metric in rule.metrics}
    if isinstance(rule, KedaRule):
        return {trigger.type for trigger in rule.triggers}
    return set()


def metric_name(metric: HpaMetric) -> str:
    """The name under which the metrics API has a metric."""
    match metric:
        case PodsMetric():
            return metric.pods.metric.name
        case ExternalMetric():
            return metric.external.metric.name
        case ObjectMetric():
            return metric.object.metric.name
        case ResourceMetric():
            return metric.resource.name
        case ContainerResourceMetric():
            return metric.container_resource.name


def hpa_measure(metric: HpaMetric, signals: Signals) -> Measure | str:
    """What a metric of an HPA reads in a replay, or why it cannot be replayed."""
    name = metric_name(metric)
    if isinstance(metric, ContainerResourceMetric):
        return "single containers are not replayed"
    if name in signals.metrics:
        return signals.measure(name)
    if isinstance(metric, ResourceMetric):
        return f"a replay has no {name}; what stands for it can be stated under signals.metrics of a ScalingPolicy"
    return measured_name(name)


def trigger_name(trigger: Trigger, index: int) -> str:
    """The name that KEDA gives a trigger's metric where the manifest gives none."""
    return trigger.name or f"s{index}-{trigger.type}"


def trigger_measure(trigger: Trigger, signals: Signals) -> Measure | str:
    """What a trigger of a ScaledObject reads in a replay, or why it cannot be replayed."""
    match trigger:
        case PrometheusTrigger():
            return measured(trigger.metadata.query, signals.named())
        case RabbitmqTrigger():
            over_http = trigger.metadata.protocol == "http" and not trigger.metadata.exclude_unacknowledged
            return Measure("in-flight" if over_http else "queue", 0.0)
        case OtherTrigger(type="cpu" | "memory") if trigger.type in signals.metrics:
            return signals.measure(trigger.type)
        case _:
            return f"a replay has no {trigger.type}, only rabbitmq, and prometheus over the inference server's metrics"


def _hpa_gaps(rule: HpaRule, signals: Signals, at: Route) -> Iterator[Gap]:
    for index, metric in enumerate(rule.metrics):
        name, measure = metric_name(metric), hpa_measure(metric, signals)
        here = (*at, "metrics", index)
        if isinstance(measure, str):
            yield Gap(here, f"{metric.type} metric {name} cannot be replayed: {measure}")
        elif name not in signals.metrics and measure.window_s == ADAPTER_WINDOW_S:
            window = format_duration(measure.window_s)
            yield Gap(here, f"{name} is taken as the rate over {window}: the window is the adapter's", False)
        source = getattr(metric, metric.type.lower(), None)
        if getattr(getattr(source, "metric", None), "selector", None) is not None:
            yield Gap(here, "the selector is left out: a replay has the series of one target only", False)


def _keda_gaps(rule: KedaRule, signals: Signals, at: Route) -> Iterator[Gap]:
    for index, trigger in enumerate(rule.triggers):
        here = (*at, "triggers", index)
        measure = trigger_measure(trigger, signals)
        if isinstance(measure, str):
            route = (*here, "metadata", "query") if isinstance(trigger, PrometheusTrigger) else (*here, "type")
            yield Gap(route, f"{trigger.type} trigger cannot be replayed: {measure}")
        if trigger.use_cached_metrics:
            yield Gap((*here, "useCachedMetrics"), "cannot be replayed: every sync asks anew")
        if trigger.authentication_ref is not None:
            text = "is left out: a replay needs no credentials, the controller takes them from signals.prometheus.auth"
            yield Gap((*here, "authenticationRef"), text, False)
    if rule.advanced is not None and rule.advanced.scaling_modifiers:
        yield Gap((*at, "advanced", "scalingModifiers"), "cannot be replayed: each trigger counts by itself")
