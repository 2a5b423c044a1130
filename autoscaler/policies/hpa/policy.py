"""The HPA as a policy: its inputs read from scrapes and the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.model import Fleet, InvalidInput, Missing, Observation, Phase, Proposal, Step
from autoscaler.policies.hpa.behavior import HpaState
from autoscaler.policies.hpa.metrics import Failed, MetricValue, Target, Values
from autoscaler.policies.hpa.pods import PodUsage
from autoscaler.policies.hpa.quantity import measured_milli
from autoscaler.policies.hpa.rule import asks_metrics, sync
from autoscaler.policies.hpa.settings import HpaSettings, MetricKind, MetricSpec
from autoscaler.policies.windows import Window, Windowed, longest_s


@dataclass(frozen=True, slots=True)
class Crowd:
    """The fleet in the HPA's own terms."""

    serving: int
    """Running and Ready."""
    waiting: int
    """Pending for the HPA: pods that start, and standby pods."""
    draining: int

    @staticmethod
    def of(fleet: Fleet) -> Crowd:
        """Count the pods by phase."""
        serving = draining = 0
        for pod in fleet.pods:
            if pod.phase is Phase.SERVING:
                serving += 1
            elif pod.phase is Phase.DRAINING:
                draining += 1
        return Crowd(serving, len(fleet.pods) - serving - draining, draining)

    def target(self, current: int) -> Target:
        """The scale target; pods that drain are not in status.replicas any more."""
        alive = self.serving + self.waiting
        return Target(current, alive, self.serving, alive + self.draining)


@dataclass(frozen=True, slots=True)
class HpaMemory:
    """What the HPA remembers, and the scrapes it reads its metrics from."""

    window: Window
    state: HpaState


@dataclass(frozen=True, slots=True)
class HpaPolicy:
    """One HorizontalPodAutoscaler.

    External and Object metrics take a reading as it is. Pods and Resource metrics spread it evenly over the
    serving pods, unless it is a mean over them already; a Resource metric's reading is in units of one pod's
    request.
    """

    settings: HpaSettings
    readings: Mapping[str, Windowed]
    """By name of the metric."""
    tick_s: float = 15.0

    def __post_init__(self) -> None:
        unread = [m.name for m in self.settings.metrics if m.name not in self.readings]
        if unread:
            raise InvalidInput(*(f"metric {name}: nothing says how to read it from the scrapes" for name in unread))

    @property
    def lookback_s(self) -> float:
        """The longest window."""
        return longest_s(tuple(self.readings.values()))

    def start(self) -> HpaMemory:
        """A controller that has just started."""
        return HpaMemory(Window(self.lookback_s), HpaState())

    def propose(self, memory: HpaMemory, seen: Observation) -> tuple[HpaMemory, Proposal]:
        """One sync of the HPA; before two scrapes there is nothing to decide on."""
        window = memory.window.add(seen.signals)
        current = seen.fleet.replicas
        if not window.comparable:
            hold = Step("hpa", current, 0, "waits for two scrapes")
            return HpaMemory(window, memory.state), Proposal(current, 0, (hold,))
        crowd = Crowd.of(seen.fleet)
        target = crowd.target(current)
        values: list[MetricValue] = []
        if asks_metrics(self.settings, memory.state, current):
            values = [
                metric_value(metric, self.readings[metric.name], window, crowd, seen.at_s)
                for metric in self.settings.metrics
            ]
        state, desired, steps = sync(self.settings, memory.state, target, values, seen.at_s)
        return HpaMemory(window, state), Proposal(desired, 0, steps)


def metric_value(metric: MetricSpec, reading: Windowed, window: Window, crowd: Crowd, now_s: float) -> MetricValue:
    """What the HPA's query for one metric would return."""
    value = reading.read(window, now_s)
    if isinstance(value, Missing):
        return Failed(str(value))
    if metric.kind is MetricKind.EXTERNAL or metric.kind is MetricKind.OBJECT:
        return Values((measured_milli(value),))
    return spread(value, crowd, mean=reading.signal.is_mean)


def spread(value: float, crowd: Crowd, *, mean: bool) -> PodUsage:
    """A reading of all pods as samples of the serving ones, each of which requests one unit."""
    each = measured_milli(value if mean else value / max(crowd.serving, 1))
    used = each * crowd.serving
    return PodUsage(
        samples=crowd.serving,
        used=used,
        ready=crowd.serving,
        unready=crowd.waiting,
        listed_used=used,
        requested=1000 * crowd.serving,
        unready_requested=1000 * crowd.waiting,
    )
