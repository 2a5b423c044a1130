"""Made results with plausible numbers: a day of traffic, a policy that follows it late."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from autoscaler.model import ColdStart, Workload
from simulations.result import Change, Figures, Result, Timeline

STEP_S = 5.0


@pytest.fixture
def tts() -> Workload:
    return Workload(
        name="tts",
        objective_s=0.8,
        objective_share=0.99,
        service_mean_s=0.18,
        service_cv=0.6,
        cold_start=ColdStart(15.0, 21.0),
        patience_s=30.0,
    )


def made_figures(**given: object) -> Figures:
    """Figures of a replay that met its objective, changed where a test says so."""
    values: dict[str, object] = {
        "policy": "hpa",
        "trace": "diurnal",
        "workload": "tts",
        "routing": "shared-queue",
        "seed": 1,
        "requests": 100_000,
        "late": 400,
        "left": 20,
        "missed_ratio": 0.0042,
        "latency_p50_s": 0.17,
        "latency_p99_s": 0.64,
        "pod_hours": 18.2,
        "starting_pod_hours": 0.4,
        "standby_pod_hours": 0.0,
        "lower_bound_pod_hours": 11.9,
        "reference_pod_hours": 13.5,
        "cost_ratio": 1.3481,
        "scale_ups": 40,
        "scale_downs": 38,
        "pod_starts": 52,
        "decisions": 5_760,
        "version": "0.1.0",
    }
    return Figures(**{**values, **given})  # type: ignore[arg-type]


def made_timeline(hours: float, seed: int, margin: float = 1.3, start_s: float = 0.0) -> Timeline:
    steps = int(hours * 3600 / STEP_S)
    random = np.random.default_rng(seed)
    at_h = np.arange(steps) * STEP_S / 3600
    rate = 30 + 25 * np.sin((at_h - 8) / 24 * 2 * np.pi) + 40 * (np.abs(at_h - hours * 0.6) < 0.05)
    arrivals = random.poisson(rate * STEP_S).astype(float)
    needed = np.ceil(np.convolve(rate * 0.18 * margin, np.ones(24) / 24, mode="same"))
    serving = np.maximum(1, np.concatenate([np.full(12, needed[0]), needed[:-12]]))
    starting = np.clip(needed - serving, 0, None)
    busy = rate * 0.18 / serving
    missed = arrivals * np.clip(busy - 0.92, 0, 1)
    p50 = 0.17 / np.clip(1.2 - busy, 0.02, 1)
    p99 = np.clip(0.45 / np.clip(1.15 - busy, 0.02, 1) * random.lognormal(0, 0.1, steps), 0, 31)
    quiet = arrivals == 0
    return Timeline(
        step_s=STEP_S,
        start_s=start_s,
        arrivals=arrivals,
        late=np.floor(missed * 0.8),
        left=np.floor(missed * 0.2),
        queued=np.floor(np.clip(busy - 0.9, 0, 1) * 400),
        serving=serving,
        starting=starting,
        standby=np.ones(steps),
        draining=np.clip(serving - needed, 0, 1),
        latency_p50_s=np.where(quiet, np.nan, p50),
        latency_p99_s=np.where(quiet, np.nan, p99),
    )


def made_changes(timeline: Timeline) -> tuple[Change, ...]:
    wish = timeline.serving
    moves = np.flatnonzero(np.diff(wish, prepend=0))
    return tuple(
        Change(
            at_s=timeline.start_s + step * timeline.step_s,
            serving=int(wish[step]),
            standby=1,
            ruled_by="stabilization" if step % 3 else "metric",
            reasons=(
                ("metric", int(wish[step]) + 1, 1, f"{timeline.arrivals[step] / 5:.1f} requests/s over 3.9 a pod"),
                ("tolerance", int(wish[step]) + 1, 1, "ratio 1.14 is outside 1 ± 0.1"),
                ("stabilization", int(wish[step]), 1, "largest wish of the last 300 s"),
                ("bounds", int(wish[step]), 1, "held in [1, 60]"),
            ),
        )
        for step in moves
    )


def made_result(hours: float = 6.0, margin: float = 1.3, start_s: float = 0.0, **figures: object) -> Result:
    given = made_figures(**figures)
    timeline = made_timeline(hours, given.seed, margin, start_s)
    return Result(given, timeline, made_changes(timeline))


@pytest.fixture
def make_figures() -> Callable[..., Figures]:
    return made_figures


@pytest.fixture
def make_result() -> Callable[..., Result]:
    return made_result
