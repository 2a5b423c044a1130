"""One reconcile of a PodAutoscaler: bounds, zero, the activator's place, the state.

Source: knative/serving, pkg/reconciler/autoscaling/kpa/{kpa,scaler}.go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from autoscaler.model import Step
from autoscaler.policies.kpa.decider import UNKNOWN
from autoscaler.policies.kpa.settings import KpaSettings

ACTIVATION_MARGIN_S = 30.0
"""A revision fails to activate this long after its progress deadline."""


class Activity(StrEnum):
    """The Active condition of a PodAutoscaler."""

    ACTIVE = "active"
    ACTIVATING = "activating"
    INACTIVE = "inactive"


class Path(StrEnum):
    """Whether the activator stands in front of the pods."""

    PROXY = "proxy"
    SERVE = "serve"


@dataclass(frozen=True, slots=True)
class ScalerState:
    """All that is remembered of a PodAutoscaler."""

    activity: Activity
    activity_s: float
    """Since when."""
    path: Path
    path_s: float
    """Since when."""
    initialized: bool = False
    """Once as many pods were ready as the revision begins with."""

    @staticmethod
    def new(now_s: float) -> ScalerState:
        """A new revision."""
        return ScalerState(Activity.ACTIVATING, now_s, Path.PROXY, now_s)

    def __str__(self) -> str:
        return f"{self.activity},{self.path}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the autoscaler asks for."""

    replicas: int
    excess_burst: int
    reason: str


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of a revision."""

    current: int
    """What its Deployment asks for."""
    ready: int
    activator_only: bool = True
    """A probe found no path around the activator."""


def reconcile(
    settings: KpaSettings, state: ScalerState, wish: Wish, pods: Pods, now_s: float
) -> tuple[ScalerState, int, tuple[Step, ...]]:
    """One reconcile.

    Args:
        settings: the revision's autoscaler.
        state: what is remembered of it.
        wish: the autoscaler's.
        pods: the revision's pods.
        now_s: seconds on a clock that does not go back.

    Returns:
        What is remembered now, the number of pods, and why; the last step carries that number.
    """
    want, size, why = _scale(settings, state, wish.replicas, pods, now_s)
    asked = wish.replicas if wish.replicas != UNKNOWN else pods.current
    steps = [Step("kpa", asked, 0, wish.reason)]
    if why or size != asked:
        steps.append(Step("kpa scaler", size, 0, why or f"{pods.current} stays"))
    proxy = want == 0 or wish.excess_burst < 0 or (want == UNKNOWN and state.activity is Activity.INACTIVE)
    path = Path.PROXY if proxy else Path.SERVE
    if path is not state.path:
        state = replace(state, path=path, path_s=now_s)
    return _activity(settings, state, want, pods.ready, now_s), size, tuple(steps)


def _scale(settings: KpaSettings, state: ScalerState, wish: int, pods: Pods, now_s: float) -> tuple[int, int, str]:
    """What is wanted, the size that is set, and why where it is not the wish."""
    if wish < 0 and state.activity is not Activity.ACTIVATING:
        return wish, pods.current, "nothing is known yet"
    low, high = _bounds(settings, state)
    want = wish
    if wish < low:
        want = low
    elif high and wish > high:
        want = high
    if want == 0:
        return _zero(settings, state, pods, now_s)
    return want, want, f"held in [{low}, {high or '∞'}]" if want != wish else ""


def _bounds(settings: KpaSettings, state: ScalerState) -> tuple[int, int]:
    """Minimum (for a reachable revision) and maximum (0: none)."""
    low = settings.min_scale if settings.reachable else 0
    if settings.initial_scale > 1 and settings.reachable and not state.initialized:
        low = max(low, settings.initial_scale)
    return low, settings.max_scale


def _zero(settings: KpaSettings, state: ScalerState, pods: Pods, now_s: float) -> tuple[int, int, str]:
    """No pod is wanted; a revision keeps one or its pods until it may go."""
    if not settings.enable_scale_to_zero:
        return 1, 1, "scaling to zero is disabled"
    since_s = now_s - state.activity_s
    if state.activity is Activity.ACTIVATING:
        if since_s > settings.progress_deadline_s + ACTIVATION_MARGIN_S:
            return 0, 0, f"not active after {since_s:g} s: gives up"
        return UNKNOWN, pods.current, "still activating"
    if state.activity is Activity.ACTIVE:
        if since_s < settings.stable_window_s:
            return 1, 1, f"active for {since_s:g} s only: keeps one pod"
        return 0, pods.current, "idle: marked inactive"
    return _zero_when_inactive(settings, state, pods, now_s)


def _zero_when_inactive(settings: KpaSettings, state: ScalerState, pods: Pods, now_s: float) -> tuple[int, int, str]:
    since_s, proxied_s = now_s - state.activity_s, now_s - state.path_s
    retention_s = settings.retention_s if settings.reachable else 0.0
    if not pods.activator_only and settings.target_burst_capacity != -1.0:
        return 0, pods.current, "idle: waits for the activator"
    if since_s >= max(settings.grace_s, retention_s):
        return 0, 0, f"inactive for {since_s:g} s"
    if since_s < retention_s:
        return 0, pods.current, f"idle: keeps its pods for {retention_s - since_s:g} s yet"
    if state.path is Path.PROXY and proxied_s >= settings.grace_s:
        return 0, 0, f"inactive, and behind the activator for {proxied_s:g} s"
    return 0, pods.current, "idle: within the grace period"


def _activity(settings: KpaSettings, state: ScalerState, want: int, ready: int, now_s: float) -> ScalerState:
    """The Active condition after this reconcile."""
    low = settings.min_scale if settings.reachable else 0
    enough = ready >= max(low, 1 if state.initialized else settings.initial_scale)
    if enough and not state.initialized:
        state = replace(state, initialized=True)
    if want == 0:
        activity = Activity.INACTIVE
    elif want < 0 and state.activity is Activity.INACTIVE:
        activity = state.activity
    else:
        activity = Activity.ACTIVE if enough else Activity.ACTIVATING
    if activity is not state.activity:
        state = replace(state, activity=activity, activity_s=now_s)
    return state
