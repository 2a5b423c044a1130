"""What Knative's ConfigMap `config-autoscaler` and a revision's annotations say.

Defaults and limits: knative/serving, pkg/autoscaler/config and pkg/apis/autoscaling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autoscaler.policies.fields import Fields

PREFIX = "autoscaling.knative.dev/"


class Metric(StrEnum):
    """What is averaged."""

    CONCURRENCY = "concurrency"
    RPS = "rps"


class Aggregation(StrEnum):
    """How a window is averaged."""

    LINEAR = "linear"
    WEIGHTED_EXPONENTIAL = "weighted-exponential"


@dataclass(frozen=True, slots=True)
class KpaSettings:
    """One revision's autoscaler."""

    metric: Metric = Metric.CONCURRENCY
    total: float = 100.0
    """What one pod can take: requests at a time, or requests/s."""
    target: float = 70.0
    """What one pod shall take; total times the target utilisation."""
    stable_window_s: float = 60.0
    panic_window_s: float = 6.0
    panic_threshold: float = 2.0
    """Panic begins when the wish of the panic window is this many times the ready pods."""
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    target_burst_capacity: float = 211.0
    scale_down_delay_s: float = 0.0
    activation_scale: int = 1
    aggregation: Aggregation = Aggregation.LINEAR
    min_scale: int = 0
    max_scale: int = 0
    """0: no limit."""
    initial_scale: int = 1
    enable_scale_to_zero: bool = True
    grace_s: float = 30.0
    retention_s: float = 0.0
    progress_deadline_s: float = 600.0
    reachable: bool = True
    """A route points at the revision, or it is not known that none does."""

    @staticmethod
    def from_api(
        config: Mapping[str, Any],
        annotations: Mapping[str, Any],
        container_concurrency: int = 0,
        *,
        reachable: bool = True,
    ) -> KpaSettings:
        """From the ConfigMap's keys, a revision's annotations and its `containerConcurrency`.

        Raises:
            InvalidInput: unknown keys, values out of Knative's limits, min above max.
        """
        problems: list[str] = []
        cluster = Fields(config, "config-autoscaler", problems)
        own = {key.removeprefix(PREFIX): value for key, value in annotations.items() if key.startswith(PREFIX)}
        fields = Fields(own, PREFIX.rstrip("/"), problems)
        metric = fields.choice("metric", Metric.CONCURRENCY)
        total, target = _capacity(cluster, fields, metric, container_concurrency)
        stable_s = _seconds(cluster, fields, "stable-window", "window", 60.0, low=6.0, high=3600.0)
        panic_percent = _number(cluster, fields, "panic-window-percentage", 10.0, low=1.0, high=100.0)
        settings = KpaSettings(
            metric=metric,
            total=total,
            target=target,
            stable_window_s=stable_s,
            panic_window_s=max(1.0, math.floor(stable_s * panic_percent / 100.0 + 0.5)),
            panic_threshold=_number(cluster, fields, "panic-threshold-percentage", 200.0, low=100.0, high=1000.0)
            / 100.0,
            max_scale_up_rate=cluster.number("max-scale-up-rate", 1000.0, low=1.0),
            max_scale_down_rate=cluster.number("max-scale-down-rate", 2.0, low=1.0),
            target_burst_capacity=_number(cluster, fields, "target-burst-capacity", 211.0, low=-1.0),
            scale_down_delay_s=_seconds(
                cluster, fields, "scale-down-delay", "scale-down-delay", 0.0, low=0.0, high=3600.0
            ),
            activation_scale=fields.integer("activation-scale", 1, low=1),
            aggregation=_aggregation(fields),
            min_scale=_integer(cluster, fields, "min-scale", 0),
            max_scale=_integer(cluster, fields, "max-scale", 0),
            initial_scale=_integer(cluster, fields, "initial-scale", 1),
            enable_scale_to_zero=cluster.flag("enable-scale-to-zero", default=True),
            grace_s=cluster.seconds("scale-to-zero-grace-period", 30.0, low=6.0),
            retention_s=_seconds(cluster, fields, _RETENTION, _RETENTION, 0.0, low=0.0, high=3600.0),
            reachable=reachable,
        )
        if -1.0 < settings.target_burst_capacity < 0.0:
            fields.fault("target-burst-capacity", "-1 (always through the activator), or at least 0")
        both = "min-scale" in fields and "max-scale" in fields
        if both and 0 < settings.max_scale < settings.min_scale:
            fields.fault("min-scale", f"at most max-scale ({settings.max_scale})")
        cluster.skip("pod-autoscaler-class", "activator-capacity", "allow-zero-initial-scale", "max-scale-limit")
        fields.skip("class", "minScale", "maxScale")
        for part in (cluster, fields):
            part.close()
        fields.finish()
        return settings


_RETENTION = "scale-to-zero-pod-retention-period"


def _capacity(cluster: Fields, fields: Fields, metric: Metric, container_concurrency: int) -> tuple[float, float]:
    """What a pod can take and what it shall take (pkg/reconciler/autoscaling/resources/target.go)."""
    default = cluster.number("container-concurrency-target-default", 100.0, low=0.01)
    rps_default = cluster.number("requests-per-second-target-default", 200.0, low=0.01)
    share = cluster.number("container-concurrency-target-percentage", 70.0, low=0.01, high=100.0)
    utilisation = share if share <= 1.0 else share / 100.0
    if "target-utilization-percentage" in fields:
        utilisation = fields.number("target-utilization-percentage", 70.0, low=1.0, high=100.0) / 100.0
    wanted = fields.number("target", 0.0, low=0.01)
    if metric is Metric.RPS:
        total = wanted or rps_default
    else:
        total = wanted or float(container_concurrency) or default
        if container_concurrency:
            total = min(total, float(container_concurrency))
    return total, max(0.01, total * utilisation)


def _aggregation(fields: Fields) -> Aggregation:
    key = "metric-aggregation-algorithm"
    if fields.raw(key) == "weightedExponential":
        return Aggregation.WEIGHTED_EXPONENTIAL
    return fields.choice(key, Aggregation.LINEAR)


def _number(cluster: Fields, fields: Fields, key: str, default: float, *, low: float, high: float = math.inf) -> float:
    return fields.number(key, cluster.number(key, default, low, high), low, high)


def _integer(cluster: Fields, fields: Fields, key: str, default: int) -> int:
    return fields.integer(key, cluster.integer(key, default))


def _seconds(
    cluster: Fields, fields: Fields, cluster_key: str, key: str, default: float, *, low: float, high: float
) -> float:
    return fields.seconds(key, cluster.seconds(cluster_key, default, low, high), low, high)
