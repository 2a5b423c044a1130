"""Policies from policy files: the only place here that sees `autoscaler.spec`.

The files keep the peers' own field names, and the peers' settings read those names, so what is built is what
the peer's API would have understood. Metrics that a replay does not have are left out; `LoadedPolicy.findings`
names each of them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from autoscaler.model import History, InvalidInput, Mode, Rails, Workload
from autoscaler.policies.fixed import FixedPolicy
from autoscaler.policies.hpa import HpaPolicy, HpaSettings
from autoscaler.policies.keda import KedaPolicy, KedaSettings
from autoscaler.policies.kpa import KpaPolicy, KpaSettings
from autoscaler.policies.policy import AnyPolicy
from autoscaler.policies.windows import Signal, Windowed
from autoscaler.spec import LoadedPolicy
from autoscaler.spec.base import Model
from autoscaler.spec.hpa import HpaRule
from autoscaler.spec.keda import KedaRule
from autoscaler.spec.kpa import KpaRule
from autoscaler.spec.policy import FixedRule, GatedStandby
from autoscaler.spec.predictive import PredictiveRule
from autoscaler.spec.promql import Measure
from autoscaler.spec.replayable import hpa_measure, metric_name, trigger_measure, trigger_name
from autoscaler.spec.rules import MOST_WEIGHED

if TYPE_CHECKING:
    from autoscaler.policies.predictive import PredictivePolicy, Reserve

LEAST_PRICE = 1.2
"""Least price of a miss in service times: below one, not even the pod that serves would pay."""
KNATIVE = "autoscaling.knative.dev/"
_KNATIVE_ANNOTATIONS = frozenset(
    {"metric", "target", "target-utilization-percentage", "activation-scale", "metric-aggregation-algorithm"}
)
"""Settings of the KPA that stand in a revision's annotations; the others stand in the ConfigMap."""


def build(
    policy: LoadedPolicy, workload: Workload | None = None, history: History | None = None
) -> tuple[AnyPolicy, Rails]:
    """The policy of a file, and the guard rails around it.

    Args:
        policy: what was loaded.
        workload: what is served, instead of what the file says; the file's own bounds rule over it.
        history: traffic from before the first tick, for a policy that learns.

    Raises:
        InvalidInput: there is no workload, nothing of the policy can be carried out here, a predictive one would have
            too many sizes to weigh, or the file of what other services taught cannot be used.
    """
    built, rails = _built(policy, policy.serving(workload), history)
    return built, replace(rails, mode=Mode(policy.spec.mode))


def _built(policy: LoadedPolicy, served: Workload, history: History | None) -> tuple[AnyPolicy, Rails]:
    rule = policy.spec.policy
    match rule:
        case FixedRule():
            return _fixed(policy, rule), Rails(served.min_replicas, served.max_replicas)
        case HpaRule():
            return _hpa(policy, rule, served), Rails(served.min_replicas, served.max_replicas)
        case KedaRule():
            return _keda(policy, rule, served)
        case KpaRule():
            return _kpa(rule, served), Rails(served.min_replicas, served.max_replicas)
        case PredictiveRule():
            return _predictive(policy, rule, served, history), Rails(served.min_replicas, served.max_replicas)


def _fixed(policy: LoadedPolicy, rule: FixedRule) -> FixedPolicy:
    standby = policy.spec.standby
    return FixedPolicy(rule.replicas, standby.min if isinstance(standby, GatedStandby) else 0)


def _hpa(policy: LoadedPolicy, rule: HpaRule, served: Workload) -> HpaPolicy:
    readings: dict[str, Windowed] = {}
    metrics = []
    for metric in rule.metrics:
        measure = hpa_measure(metric, policy.spec.signals)
        if isinstance(measure, Measure):
            readings[metric_name(metric)] = _windowed(policy, measure)
            metrics.append(_api(metric))
    _check_some(policy, metrics)
    spec = {"minReplicas": served.min_replicas, "maxReplicas": served.max_replicas, "metrics": metrics}
    if rule.behavior is not None:
        spec["behavior"] = _api(rule.behavior)
    flags = {
        "tolerance": rule.controller.tolerance,
        "downscaleStabilizationSeconds": round(rule.controller.stabilization_s),
        "cpuInitializationPeriodSeconds": round(rule.controller.cpu_initialization_s),
        "initialReadinessDelaySeconds": round(rule.controller.initial_readiness_delay_s),
        "HPAScaleToZero": rule.controller.scale_to_zero,
    }
    settings = HpaSettings.from_api(spec, flags, f"{policy.source}: spec")
    return HpaPolicy(settings, readings, tick_s=rule.controller.sync_period_s)


def _keda(policy: LoadedPolicy, rule: KedaRule, served: Workload) -> tuple[KedaPolicy, Rails]:
    readings: dict[str, Windowed] = {}
    triggers = []
    for index, trigger in enumerate(rule.triggers):
        measure = trigger_measure(trigger, policy.spec.signals)
        if isinstance(measure, Measure):
            name = trigger_name(trigger, index)
            readings[name] = _windowed(policy, measure)
            triggers.append(_api(trigger) | {"name": name, "useCachedMetrics": False})
    _check_some(policy, triggers)
    spec = _api(rule) | {
        "triggers": triggers,
        "minReplicaCount": served.min_replicas,
        "maxReplicaCount": served.max_replicas,
    }
    del spec["type"]
    spec.get("advanced", {}).pop("scalingModifiers", None)
    settings = KedaSettings.from_api(spec, policy.file.metadata.annotations, f"{policy.source}: spec")
    return KedaPolicy(settings, readings), _keda_rails(settings)


def _keda_rails(settings: KedaSettings) -> Rails:
    """The bounds, widened to the sizes that KEDA itself takes beyond them: idle, and held by an annotation."""
    sizes = [settings.min_replicas, settings.max_replicas, settings.idle_replicas, settings.switches.paused_replicas]
    known = [size for size in sizes if size is not None]
    return Rails(min(known), max(known))


def _kpa(rule: KpaRule, served: Workload) -> KpaPolicy:
    keys = _api(rule)
    concurrency = int(keys.pop("containerConcurrency"))
    del keys["type"]
    annotations = {KNATIVE + key: value for key, value in keys.items() if key in _KNATIVE_ANNOTATIONS}
    annotations |= {KNATIVE + "min-scale": served.min_replicas, KNATIVE + "max-scale": served.max_replicas}
    config = {key: value for key, value in keys.items() if key not in _KNATIVE_ANNOTATIONS}
    return KpaPolicy(KpaSettings.from_api(config, annotations, concurrency))


def _check_weighed(policy: LoadedPolicy, served: Workload) -> None:
    """The table of what each size misses at each load grows with pods times loads, and with what a pod carries."""
    carried = math.sqrt(served.concurrency) * served.batching.gain
    most = int(MOST_WEIGHED / math.sqrt(carried))
    if served.max_replicas > most:
        each = f" and {served.concurrency} requests a pod" if served.concurrency > 1 else ""
        each += f" and batches of {served.batching.size}" if served.batching.size > 1 else ""
        text = f"{served.max_replicas} — at most {most} with a predictive policy{each}: it weighs every size"
        raise InvalidInput(f"{policy.source}: replicas.max of {served.name}: {text}")


def _predictive(
    policy: LoadedPolicy, rule: PredictiveRule, served: Workload, history: History | None
) -> PredictivePolicy:
    """A stated price is a price whose least and most are the same.

    A tick is not shorter than the scrape interval, but where pods stand by: a promotion takes a second, so what a
    scrape shows is used within one.
    """
    # Learning takes scipy and scikit-learn, a hundred megabytes that a process without such a target does without.
    from autoscaler.forecast.priorfile import load as load_priors
    from autoscaler.policies.predictive import Backlog, Bounds, PredictivePolicy, PriceRule, Settings

    _check_weighed(policy, served)
    interval_s = max(rule.tick_s, policy.spec.signals.prometheus.scrape_interval_s or 0.0)
    standby = policy.spec.standby
    reserve = _reserve(standby, served) if isinstance(standby, GatedStandby) else None
    if rule.miss_price == "auto":
        first, least, most = rule.first_price_s, LEAST_PRICE * served.service_mean_s, rule.most_price_s
    else:
        first = least = most = rule.miss_price
    settings = Settings(
        workload=served,
        bounds=Bounds(reserve.serving if reserve else max(served.min_replicas, 1), served.max_replicas),
        price=PriceRule(1 - served.objective_share, first, least, most, rule.first_correction),
        backlog=Backlog.within(rule.drain_within_s, served.objective_s - served.service_mean_s),
        start_price_s=rule.start_price_s,
        tick_s=rule.tick_s if reserve else interval_s,
        interval_s=interval_s,
        time_zone=ZoneInfo(policy.spec.clock.time_zone),
        calendar=tuple(event.to_event() for event in rule.calendar),
        priors=load_priors(policy.prior) if policy.prior else None,
        reserve=reserve,
    )
    return PredictivePolicy(settings, history)


def _reserve(standby: GatedStandby, served: Workload) -> Reserve:
    from autoscaler.policies.predictive import Reserve

    return Reserve(standby.min, standby.max, standby.price, max(served.min_replicas - standby.min, 1))


def _windowed(policy: LoadedPolicy, measure: Measure) -> Windowed:
    stale_s = policy.spec.signals.prometheus.stale_after_s
    return Windowed(Signal(measure.signal), measure.window_s, measure.factor, stale_s)


def _api(part: Model) -> dict[str, Any]:
    """A part of a file in the form that its API has."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _check_some(policy: LoadedPolicy, metrics: list[dict[str, Any]]) -> None:
    if not metrics:
        reasons = (str(finding) for finding in policy.findings if finding.changes_decisions)
        raise InvalidInput(f"{policy.source}: none of its metrics can be read here", *reasons)
