"""What a search in hindsight tries: the grids of the published protocol, and a step from a setting to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from itertools import product
from typing import Any

from simulations.peers import Family, Fixed, Hpa, Kpa, Setting


def words(setting: Setting) -> str:
    """The setting for a person: `rate, window 15 s, down after 300 s, growth unlimited, target 0.7`."""
    match setting:
        case Fixed():
            return f"{setting.replicas} pods"
        case Hpa():
            parts = [setting.metric + (" (mean of pods)" if setting.mode == "pods" else "")]
            parts += [f"window {setting.window_s:g} s", f"down after {setting.stabilization_s} s"]
            parts += [f"growth {setting.growth}"]
        case Kpa():
            parts = [setting.metric, f"window {setting.stable_s:g} s", f"delay {setting.delay_s:g} s"]
            parts += [f"panic {setting.panic_percent:g} % at {setting.panic_threshold:g} %"]
    least = [f"at least {setting.least}"] if setting.least > 1 else []
    return ", ".join([*parts, *least, f"target {setting.target:g}"])


TARGETS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def common(family: Family) -> tuple[Setting, ...]:
    """Candidates for one setting for all traces: the protocol's grid. No minimum above 1, which would be a fleet."""
    if family is Family.KPA:
        grid = product((30.0, 60.0), (0.0, 300.0, 600.0, 900.0), TARGETS)
        return tuple(Kpa(target, stable_s=stable, delay_s=delay) for stable, delay, target in grid)
    if family is Family.FIXED:
        return tuple(Fixed(pods) for pods in range(16, 24))
    return tuple(
        Hpa(target, stabilization_s=hold, family=family) for hold, target in product((300, 600, 1200), TARGETS)
    )


_STEPS: Mapping[str, tuple[Any, ...]] = {
    "metric": ("rate", "busy", "concurrency"),
    "window_s": (15.0, 30.0, 60.0, 120.0),
    "stabilization_s": (0, 60, 120, 300, 600, 1200),
    "growth": ("default", "unlimited"),
    "mode": ("external", "pods"),
    "stable_s": (30.0, 60.0, 120.0, 300.0, 600.0),
    "delay_s": (0.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0),
    "panic_percent": (10.0, 25.0, 50.0),
    "panic_threshold": (120.0, 150.0, 200.0, 300.0),
}
"""What a knob can be set to, in order; a minimum moves by one pod, a target is searched."""


def neighbours(setting: Setting) -> Iterator[Setting]:
    """Settings that differ in one knob, by one step; the target is left as it is."""
    if isinstance(setting, Fixed):
        return
    for field in fields(setting):
        for value in _beside(setting, field.name):
            yield replace(setting, **{field.name: value})


def with_least(setting: Setting, pods: tuple[int, ...]) -> Iterator[Setting]:
    """The setting with other minimums."""
    if not isinstance(setting, Fixed):
        yield from (replace(setting, least=least) for least in pods if least >= 1 and least != setting.least)


def _beside(setting: Hpa | Kpa, name: str) -> Iterator[Any]:
    now = getattr(setting, name)
    if name == "least":
        yield from (pods for pods in (now - 1, now + 1) if pods >= 1)
    elif name in _STEPS and not _alone(setting, name):
        steps = [step for step in _STEPS[name] if not (step == "busy" and isinstance(setting, Kpa))]
        at = steps.index(now) if now in steps else None
        if at is None:
            return
        yield from (steps[near] for near in (at - 1, at + 1) if 0 <= near < len(steps))


def _alone(setting: Hpa | Kpa, name: str) -> bool:
    """KEDA's knobs that cannot be turned: it has no mean over pods, and the protocol gives it the rate."""
    return setting.family is Family.KEDA and name in {"mode", "metric"}
