"""Settings of the peers as values, and the policy that each one means.

Targets are busy pods a pod: a rate is multiplied by the mean service time. Bounds beside the minimum are the
workload's. Knobs: the published protocol, "Peers".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from autoscaler.model import InvalidInput, Workload
from autoscaler.policies.fixed import FixedPolicy
from autoscaler.policies.hpa import HpaPolicy, HpaSettings
from autoscaler.policies.hpa.settings import (
    Behavior,
    Limit,
    LimitKind,
    MetricKind,
    MetricSpec,
    Rules,
    Select,
    TargetKind,
)
from autoscaler.policies.keda import KedaPolicy, KedaSettings
from autoscaler.policies.keda.settings import PrometheusTrigger
from autoscaler.policies.kpa import KpaPolicy, KpaSettings
from autoscaler.policies.kpa.settings import Metric
from autoscaler.policies.policy import AnyPolicy
from autoscaler.policies.windows import Signal, Windowed

UNLIMITED = 1_000_000_000
LEAST_PANIC_WINDOW_S = 5.0
"""One scrape interval."""


class Family(StrEnum):
    """A kind of peer."""

    FIXED = "fixed"
    HPA = "hpa"
    KEDA = "keda"
    KPA = "kpa"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A constant number of pods."""

    replicas: int
    family: Literal[Family.FIXED] = Family.FIXED

    def policy(self, workload: Workload) -> AnyPolicy:  # noqa: ARG002 -- the same for every workload
        """The policy that this setting means."""
        return FixedPolicy(self.replicas)


@dataclass(frozen=True, slots=True)
class Hpa:
    """A HorizontalPodAutoscaler, or the one that KEDA keeps: one metric, held at so much a pod."""

    target: float
    """Busy pods a pod; in whole thousandths."""
    metric: str = Signal.RATE.value
    """rate, busy, concurrency or queue."""
    window_s: float = 15.0
    stabilization_s: int = 300
    growth: str = "unlimited"
    """default: at most 4 pods or 100 % in 15 s."""
    least: int = 1
    mode: str = "external"
    """external: a total over the target; pods: the mean over the serving pods. KEDA knows the first alone."""
    family: Literal[Family.HPA, Family.KEDA] = Family.HPA

    def policy(self, workload: Workload) -> AnyPolicy:
        """The policy that this setting means."""
        readings = {"load": windowed(self.metric, self.window_s, workload)}
        behavior, most = self._behavior(), workload.max_replicas
        if self.family is Family.KEDA:
            trigger = PrometheusTrigger("load", self.target)
            keda = KedaSettings((trigger,), min_replicas=self.least, max_replicas=most, behavior=behavior)
            return KedaPolicy(keda, readings)
        kind = MetricKind.PODS if self.mode == "pods" else MetricKind.EXTERNAL
        metric = MetricSpec(kind, "load", TargetKind.AVERAGE_VALUE, round(1000 * self.target))
        return HpaPolicy(HpaSettings(most, self.least, (metric,), behavior), readings)

    def _behavior(self) -> Behavior:
        down = Rules(self.stabilization_s, Select.MAX, (Limit(LimitKind.PERCENT, 100, 15),))
        if self.growth == "default":
            return Behavior(down=down)
        limits = (Limit(LimitKind.PODS, UNLIMITED, 15), Limit(LimitKind.PERCENT, UNLIMITED, 15))
        return Behavior(Rules(0, Select.MAX, limits), down)


@dataclass(frozen=True, slots=True)
class Kpa:
    """Knative's autoscaler, with pods that take one request at a time."""

    target: float
    """Busy pods a pod."""
    metric: str = Signal.RATE.value
    """rate or concurrency."""
    stable_s: float = 60.0
    panic_percent: float = 10.0
    panic_threshold: float = 200.0
    """Percent."""
    delay_s: float = 0.0
    least: int = 1
    family: Literal[Family.KPA] = Family.KPA

    def policy(self, workload: Workload) -> AnyPolicy:
        """The policy that this setting means."""
        by_rate = self.metric == Signal.RATE.value
        settings = KpaSettings(
            metric=Metric.RPS if by_rate else Metric.CONCURRENCY,
            total=1.0,
            target=self.target,
            stable_window_s=self.stable_s,
            panic_window_s=max(LEAST_PANIC_WINDOW_S, self.stable_s * self.panic_percent / 100),
            panic_threshold=self.panic_threshold / 100,
            scale_down_delay_s=self.delay_s,
            min_scale=self.least,
            max_scale=workload.max_replicas,
        )
        return KpaPolicy(settings, workload.service_mean_s if by_rate else 1.0)


Setting = Fixed | Hpa | Kpa
_KINDS: Mapping[Family, type[Fixed | Hpa | Kpa]] = {
    Family.FIXED: Fixed,
    Family.HPA: Hpa,
    Family.KEDA: Hpa,
    Family.KPA: Kpa,
}


def windowed(metric: str, window_s: float, workload: Workload) -> Windowed:
    """A metric as busy pods."""
    return Windowed(Signal(metric), window_s, workload.service_mean_s if metric == Signal.RATE.value else 1.0)


def replayed_as(setting: Setting) -> Setting:
    """The setting whose replay gives this one's figures.

    With at least one pod KEDA's own loop changes nothing, and its HPA has one External metric: the very rule that an
    HPA with that metric follows. `tests/simulation/test_peers.py` holds the two against each other.
    """
    if setting.family is Family.KEDA and setting.least >= 1 and setting.mode == "external":
        return replace(setting, family=Family.HPA)
    return setting


def to_json(setting: Setting) -> dict[str, Any]:
    """Plain values."""
    return asdict(setting)


def from_json(values: Mapping[str, Any]) -> Setting:
    """The setting that `to_json` wrote.

    Raises:
        InvalidInput: there is no such family, or a value of it is unknown or lacking.
    """
    try:
        family = Family(values["family"])
        kind = _KINDS[family]
        return kind(**{**values, "family": family})
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidInput(f"peer's setting {dict(values)!r}: {error}") from error
