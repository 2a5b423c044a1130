"""The peers' manifests, read in their own words and refused with every problem named."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.model import InvalidInput
from autoscaler.policies.hpa.settings import (
    DEFAULT_DOWN,
    DEFAULT_METRIC,
    DEFAULT_UP,
    Behavior,
    HpaSettings,
    Limit,
    LimitKind,
    MetricKind,
    MetricSpec,
    Rules,
    Select,
    TargetKind,
)
from autoscaler.policies.keda.settings import (
    Fallback,
    FallbackBehavior,
    KafkaTrigger,
    KedaSettings,
    OffsetReset,
    PrometheusTrigger,
    RabbitMode,
    RabbitTrigger,
    ResourceTrigger,
    Switches,
)
from autoscaler.policies.kpa.settings import Aggregation, KpaSettings, Metric

EXTERNAL = {
    "type": "External",
    "external": {"metric": {"name": "rate"}, "target": {"type": "AverageValue", "averageValue": "700m"}},
}
PROMETHEUS = {"type": "prometheus", "metadata": {"threshold": "0.7", "query": "up", "serverAddress": "http://p"}}


def test_a_plain_hpa_has_the_defaults_of_the_api() -> None:
    assert HpaSettings.from_api({"maxReplicas": 5}) == HpaSettings(5, 1, (DEFAULT_METRIC,), None)
    assert HpaSettings(5) == HpaSettings(5, 1, (DEFAULT_METRIC,), None, 0.1, 300, 300, 30, scale_to_zero=False)


def test_a_whole_hpa() -> None:
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tts"},
        "minReplicas": 2,
        "maxReplicas": 9,
        "metrics": [
            EXTERNAL,
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 7}},
            },
            {
                "type": "Object",
                "object": {
                    "metric": {"name": "depth", "selector": {"matchLabels": {"queue": "tts"}}},
                    "describedObject": {"kind": "Service", "name": "tts"},
                    "target": {"type": "Value", "value": "2k"},
                },
            },
            {
                "type": "Pods",
                "pods": {"metric": {"name": "busy"}, "target": {"type": "AverageValue", "averageValue": 1.5}},
            },
        ],
        "behavior": {
            "scaleUp": {"tolerance": "50m", "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
            "scaleDown": {"selectPolicy": "Disabled"},
        },
    }
    assert HpaSettings.from_api(spec, {"downscaleStabilizationSeconds": 60, "tolerance": 0.2}) == HpaSettings(
        max_replicas=9,
        min_replicas=2,
        metrics=(
            MetricSpec(MetricKind.EXTERNAL, "rate", TargetKind.AVERAGE_VALUE, 700),
            MetricSpec(MetricKind.RESOURCE, "cpu", TargetKind.UTILIZATION, 7),
            MetricSpec(MetricKind.OBJECT, "depth", TargetKind.VALUE, 2_000_000),
            MetricSpec(MetricKind.PODS, "busy", TargetKind.AVERAGE_VALUE, 1500),
        ),
        behavior=Behavior(
            Rules(0, Select.MAX, (Limit(LimitKind.PODS, 2, 60),), 0.05),
            Rules(60, Select.DISABLED, DEFAULT_DOWN.limits),
        ),
        tolerance=0.2,
        downscale_stabilization_s=60,
    )


def test_an_empty_behavior_is_not_none() -> None:
    assert HpaSettings.from_api({"maxReplicas": 5, "behavior": {}}).behavior == Behavior(DEFAULT_UP, DEFAULT_DOWN)


def hpa(**changes: Any) -> dict[str, Any]:
    return {"maxReplicas": 5, "metrics": [EXTERNAL]} | changes


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        pytest.param({}, ["spec.maxReplicas: None — required"], id="no maximum"),
        pytest.param(hpa(minReplicas=6), ["spec.minReplicas: 6 — at most maxReplicas (5)"], id="min above max"),
        pytest.param(
            hpa(minReplicas=0),
            ["spec.minReplicas: 0 — at least 1 unless the feature gate HPAScaleToZero is on"],
            id="zero without the gate",
        ),
        pytest.param(
            hpa(maxReplica=6, scaleTargetRef={}),
            [
                (
                    "spec.maxReplica: 6 — unknown key, allowed here: behavior, maxReplicas, metrics, minReplicas, "
                    "scaleTargetRef; did you mean maxReplicas?"
                )
            ],
            id="unknown key",
        ),
        pytest.param(
            hpa(metrics=[{"type": "ContainerResource", "containerResource": {}}]),
            [
                (
                    "spec.metrics[0].type: 'ContainerResource' — one of External, Object, Pods, Resource; "
                    "no other kind can be replayed"
                )
            ],
            id="a kind that cannot be replayed",
        ),
        pytest.param(
            hpa(behavior={"scaleDown": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 1801}]}}),
            [
                "spec.behavior.scaleDown.policies[0].value: 0 — a whole number from 1 to 2147483647",
                "spec.behavior.scaleDown.policies[0].periodSeconds: 1801 — a whole number from 1 to 1800",
            ],
            id="limits of the API, all of them at once",
        ),
        pytest.param(
            hpa(behavior={"scaleUp": {"policies": []}}),
            ["spec.behavior.scaleUp.policies: [] — at least one"],
            id="none",
        ),
        pytest.param(
            hpa(behavior={"scaleUp": {"tolerance": "-0.1"}}),
            ["spec.behavior.scaleUp.tolerance: '-0.1' — a quantity of at least 0 such as 0.05"],
            id="negative tolerance",
        ),
        pytest.param(
            hpa(
                metrics=[
                    {"type": "Pods", "pods": {"metric": {"name": "busy"}, "target": {"type": "Value", "value": 1}}}
                ]
            ),
            ["spec.metrics[0].pods.target.type: 'Value' — one of AverageValue for a Pods metric"],
            id="a target that the kind does not have",
        ),
        pytest.param(
            hpa(
                metrics=[
                    {"type": "External", "external": {"metric": {"name": "q"}, "target": {"averageValue": "1 pod"}}},
                    {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value"}}},
                ]
            ),
            [
                "spec.metrics[0].external.target.averageValue: '1 pod' — a quantity above 0 such as 10, 500m or 128Mi",
                "spec.metrics[1].external.target.value: None — required with type Value",
            ],
            id="targets that say nothing",
        ),
    ],
)
def test_what_is_wrong_with_an_hpa(spec: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        HpaSettings.from_api(spec)
    assert list(refused.value.problems) == problems


def test_a_plain_scaled_object_has_kedas_defaults() -> None:
    assert KedaSettings.from_api({"triggers": [PROMETHEUS]}) == KedaSettings(
        (PrometheusTrigger("s0-prometheus", 0.7),), 0, 100, None, 30, 300, 0, None, None, Switches()
    )


def test_every_trigger_that_can_be_replayed() -> None:
    triggers = [
        PROMETHEUS | {"name": "load", "metricType": "Value"},
        {"type": "rabbitmq", "metadata": {"mode": "MessageRate", "value": "20", "activationValue": "2", "host": "h"}},
        {
            "type": "kafka",
            "metadata": {"lagThreshold": "5", "offsetResetPolicy": "earliest", "limitToPartitionsWithLag": "true"},
        },
        {"type": "cpu", "metadata": {"value": "60"}},
        {"type": "memory", "metricType": "AverageValue", "metadata": {"value": "1Gi"}},
    ]
    assert KedaSettings.from_api({"triggers": triggers}).triggers == (
        PrometheusTrigger("load", 0.7, target_kind=TargetKind.VALUE),
        RabbitTrigger("s1-rabbitmq", 20.0, RabbitMode.MESSAGE_RATE, 2.0),
        KafkaTrigger("s2-kafka", 5, offset_reset=OffsetReset.EARLIEST, limit_to_partitions_with_lag=True),
        ResourceTrigger("s3-cpu", "cpu", 60),
        ResourceTrigger("s4-memory", "memory", 2**30 * 1000, TargetKind.AVERAGE_VALUE),
    )


def test_fallback_and_bounds_of_a_scaled_object() -> None:
    spec = {
        "triggers": [PROMETHEUS],
        "minReplicaCount": 2,
        "maxReplicaCount": 8,
        "idleReplicaCount": 0,
        "pollingInterval": 5,
        "cooldownPeriod": 60,
        "initialCooldownPeriod": 9,
        "fallback": {"failureThreshold": 3, "replicas": 6, "behavior": "currentReplicasIfHigher"},
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {}}},
    }
    fallback = Fallback(3, 6, FallbackBehavior.CURRENT_IF_HIGHER)
    read = KedaSettings.from_api(spec)
    assert read == KedaSettings(read.triggers, 2, 8, 0, 5, 60, 9, fallback, Behavior())
    assert read.hpa(Switches()) == HpaSettings(
        8, 2, (MetricSpec(MetricKind.EXTERNAL, "s0-prometheus", TargetKind.AVERAGE_VALUE, 700),), Behavior()
    )


def test_the_hpa_of_a_scaled_object_keeps_one_pod() -> None:
    kept = KedaSettings((PrometheusTrigger("load", 1.0),)).hpa(Switches())
    assert (kept.min_replicas, kept.max_replicas, kept.behavior) == (1, 100, None)


@pytest.mark.parametrize(
    ("annotations", "switches"),
    [
        ({}, Switches()),
        ({"autoscaling.keda.sh/paused": "true"}, Switches(paused=True)),
        ({"autoscaling.keda.sh/paused": "yes please"}, Switches(paused=True)),
        ({"autoscaling.keda.sh/paused": "false", "other/paused": "true"}, Switches()),
        ({"autoscaling.keda.sh/paused-replicas": "0"}, Switches(paused=True, paused_replicas=0)),
        ({"autoscaling.keda.sh/paused-scale-in": "1"}, Switches(paused_scale_in=True)),
        ({"autoscaling.keda.sh/paused-scale-out": "T"}, Switches(paused_scale_out=True)),
        ({"autoscaling.keda.sh/force-activation": "true"}, Switches(force_activation=True)),
    ],
)
def test_annotations_hold_a_scaled_object(annotations: dict[str, str], switches: Switches) -> None:
    assert Switches.from_annotations(annotations) == switches


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param({"triggers": []}, "spec.triggers: [] — at least one that can be replayed", id="no trigger"),
        pytest.param({"triggers": [{"type": "cron"}]}, "spec.triggers[0].type: 'cron' — one of prometheus", id="other"),
        pytest.param(
            {"triggers": [PROMETHEUS], "minReplicaCount": 2, "maxReplicaCount": 1},
            "spec.minReplicaCount: 2 — at most maxReplicaCount (1)",
            id="min above max",
        ),
        pytest.param(
            {"triggers": [PROMETHEUS], "minReplicaCount": 2, "idleReplicaCount": 2},
            "spec.idleReplicaCount: 2 — below minReplicaCount (2)",
            id="idle not below min",
        ),
        pytest.param(
            {"triggers": [PROMETHEUS], "advanced": {"scalingModifiers": {"formula": "a + b"}}},
            "spec.advanced.scalingModifiers: {'formula': 'a + b'} — cannot be replayed",
            id="a formula",
        ),
        pytest.param(
            {"triggers": [PROMETHEUS | {"useCachedMetrics": True}]},
            "spec.triggers[0].useCachedMetrics: True — cannot be replayed",
            id="cached metrics",
        ),
        pytest.param(
            {"triggers": [PROMETHEUS | {"metricType": "Utilization"}]},
            "spec.triggers[0].metricType: 'Utilization' — Utilization is for cpu and memory",
            id="utilisation of a query",
        ),
        pytest.param(
            {"triggers": [PROMETHEUS], "fallback": {"replicas": 3}},
            "spec.fallback.failureThreshold: None — required",
            id="half a fallback",
        ),
        pytest.param(
            {"triggers": [{"type": "prometheus", "metadata": {"threshold": "many"}}]},
            "spec.triggers[0].metadata.threshold: 'many' — a number",
            id="no number",
        ),
    ],
)
def test_what_is_wrong_with_a_scaled_object(spec: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        KedaSettings.from_api(spec)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(problem)


def knative(**annotations: object) -> dict[str, object]:
    return {f"autoscaling.knative.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}


def test_a_plain_revision_has_knatives_defaults() -> None:
    assert KpaSettings.from_api({}, {}) == KpaSettings()


@pytest.mark.parametrize(
    ("config", "annotations", "container_concurrency", "total", "target"),
    [
        pytest.param({}, {}, 0, 100.0, 70.0, id="unlimited"),
        pytest.param({}, {}, 4, 4.0, 2.8, id="a hard limit"),
        pytest.param({}, knative(target="10"), 4, 4.0, 2.8, id="a target above the hard limit"),
        pytest.param({}, knative(target="2"), 4, 2.0, 1.4, id="a target below it"),
        pytest.param({}, knative(metric="rps"), 4, 200.0, 140.0, id="requests per second"),
        pytest.param({}, knative(metric="rps", target="50"), 0, 50.0, 35.0, id="so many"),
        pytest.param({}, knative(target="10", target_utilization_percentage="100"), 0, 10.0, 10.0, id="all of it"),
        pytest.param({"container-concurrency-target-percentage": "0.5"}, {}, 0, 100.0, 50.0, id="a fraction"),
        pytest.param({"container-concurrency-target-percentage": "50"}, {}, 0, 100.0, 50.0, id="a percentage"),
        pytest.param({}, knative(target="0.01", target_utilization_percentage="1"), 0, 0.01, 0.01, id="at least"),
    ],
)
def test_what_a_pod_can_take(
    config: dict[str, str],
    annotations: dict[str, object],
    container_concurrency: int,
    total: float,
    target: float,
) -> None:
    read = KpaSettings.from_api(config, annotations, container_concurrency)
    assert (read.total, read.target) == (pytest.approx(total), pytest.approx(target))


def test_annotations_override_the_config_map() -> None:
    config = {
        "stable-window": "2m",
        "min-scale": "2",
        "max-scale": "7",
        "max-scale-up-rate": "3",
        "enable-scale-to-zero": "false",
        "scale-to-zero-grace-period": "40s",
    }
    annotations = knative(
        window="1m30s",
        max_scale="9",
        panic_window_percentage="5",
        metric_aggregation_algorithm="weightedExponential",
        scale_down_delay="15s",
    )
    read = KpaSettings.from_api(config, annotations, reachable=False)
    assert read == KpaSettings(
        stable_window_s=90.0,
        panic_window_s=5.0,
        min_scale=2,
        max_scale=9,
        max_scale_up_rate=3.0,
        scale_down_delay_s=15.0,
        aggregation=Aggregation.WEIGHTED_EXPONENTIAL,
        enable_scale_to_zero=False,
        grace_s=40.0,
        reachable=False,
    )
    assert read.metric is Metric.CONCURRENCY


@pytest.mark.parametrize(
    ("config", "annotations", "problem"),
    [
        (
            {"stable-window": "5s"},
            {},
            "config-autoscaler.stable-window: '5s' — a duration such as 30s or 1m30s, from 6",
        ),
        ({"stable-windw": "60s"}, {}, "config-autoscaler.stable-windw: '60s' — unknown key"),
        ({}, knative(window="60"), "autoscaling.knative.dev.window: '60' — a duration"),
        ({}, knative(min_scale=5, max_scale=3), "autoscaling.knative.dev.min-scale: 5 — at most max-scale (3)"),
        ({}, knative(metric="cpu"), "autoscaling.knative.dev.metric: 'cpu' — one of concurrency, rps"),
        ({}, knative(target_burst_capacity="-0.5"), "autoscaling.knative.dev.target-burst-capacity: '-0.5' — -1"),
        ({"enable-scale-to-zero": "perhaps"}, {}, "config-autoscaler.enable-scale-to-zero: 'perhaps' — true or false"),
    ],
)
def test_what_is_wrong_with_a_revision(config: dict[str, str], annotations: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        KpaSettings.from_api(config, annotations)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(problem)
