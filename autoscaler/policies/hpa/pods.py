"""Which pods count for a Pods or Resource metric, and which are filled in.

Source: Kubernetes v1.36, pkg/controller/podautoscaler/replica_calculator.go (groupPods).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CPU = "cpu"


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod of the target's selector, as the HPA sees it."""

    name: str
    phase: str = "Running"
    ready: bool | None = True
    """The Ready condition; None where there is none."""
    started_at_s: float | None = None
    ready_changed_at_s: float = 0.0
    """When the Ready condition changed last."""
    deleting: bool = False
    requests: Mapping[str, int] = field(default_factory=dict)
    """Milli-units by resource."""

    @property
    def serves(self) -> bool:
        """Running and Ready."""
        return self.phase == "Running" and self.ready is True


@dataclass(frozen=True, slots=True)
class Sample:
    """What one pod reports."""

    milli: int
    at_s: float
    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the HPA distrusts the CPU of a young pod."""

    initialization_s: float
    readiness_delay_s: float


@dataclass(frozen=True, slots=True)
class PodUsage:
    """The samples that count, summed, and the pods that lack one. All amounts in milli-units."""

    samples: int
    """Number of samples that count; those of pods outside the list included."""
    used: int
    """Their sum."""
    ready: int
    """Pods that count as ready."""
    unready: int = 0
    missing: int = 0
    """Pods without a sample."""
    listed_used: int = 0
    """Sum of the samples of pods in the list."""
    requested: int = 0
    """What those pods request."""
    missing_requests: tuple[int, ...] = ()
    unready_requested: int = 0
    without_request: str = ""
    """Some pod of the list that requests nothing, whatever its state."""


def group(
    pods: Iterable[PodState], samples: Mapping[str, Sample], resource: str, patience: Patience, now_s: float
) -> PodUsage:
    """Sort the pods of the list by what their samples are worth.

    Args:
        pods: the list.
        samples: by name of the pod.
        resource: `cpu`, `memory`, …, whose requests are summed; empty for a Pods metric.
        patience: the controller's flags; they matter for `cpu` alone.
        now_s: the time of the sync.
    """
    left = dict(samples)
    ready = unready = missing = listed_used = requested = unready_requested = 0
    missing_requests: list[int] = []
    without_request = ""
    for pod in pods:
        request = pod.requests.get(resource, 0)
        if resource and resource not in pod.requests:
            without_request = pod.name
        sample = left.get(pod.name)
        if pod.deleting or pod.phase == "Failed":
            left.pop(pod.name, None)
        elif pod.phase == "Pending" or (
            sample is not None and resource == CPU and _distrusted(pod, sample, patience, now_s)
        ):
            left.pop(pod.name, None)
            unready += 1
            unready_requested += request
        elif sample is None:
            missing += 1
            missing_requests.append(request)
        else:
            ready += 1
            listed_used += sample.milli
            requested += request
    return PodUsage(
        samples=len(left),
        used=sum(sample.milli for sample in left.values()),
        ready=ready,
        unready=unready,
        missing=missing,
        listed_used=listed_used,
        requested=requested,
        missing_requests=tuple(missing_requests),
        unready_requested=unready_requested,
        without_request=without_request,
    )


def _distrusted(pod: PodState, sample: Sample, patience: Patience, now_s: float) -> bool:
    """CPU of a pod that is still starting, or that never was ready, says nothing of the load."""
    if pod.ready is None or pod.started_at_s is None:
        return True
    if pod.started_at_s + patience.initialization_s > now_s:
        return not pod.ready or sample.at_s < pod.ready_changed_at_s + sample.window_s
    return not pod.ready and pod.started_at_s + patience.readiness_delay_s > pod.ready_changed_at_s
