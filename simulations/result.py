"""What a replay found: figures for the table, a timeline for the plots, decisions with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """One row of a comparison; also the keys of the JSON output."""

    policy: str
    trace: str
    workload: str
    routing: str
    seed: int
    requests: int
    """Scored requests: those that arrive from the end of the warm-up on."""
    late: int
    """Answered later than the objective."""
    left: int
    """Gave up waiting or were rejected."""
    missed_ratio: float
    """(late + left) / requests."""
    latency_p50_s: float
    latency_p99_s: float
    """Over answered requests; those that left are in missed_ratio alone."""
    pod_hours: float
    """Everything that holds a GPU: starting, standby, serving, draining."""
    starting_pod_hours: float
    standby_pod_hours: float
    lower_bound_pod_hours: float
    """Service time of the cheapest 99 % of requests, and one pod always: no plan that meets the objective can
    cost less."""
    reference_pod_hours: float | None
    """The clairvoyant plan; None where it was not asked for."""
    cost_ratio: float | None
    """pod_hours / reference_pod_hours."""
    scale_ups: int
    scale_downs: int
    pod_starts: int
    decisions: int
    version: str
    insight: Mapping[str, float] = field(default_factory=dict)
    """What the policy said of itself at the last decision: how good its forecasts were, its price, its lead time."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened in each step of the replay; every array has shape (steps,)."""

    step_s: float
    start_s: float
    """Clock time of the first step."""
    arrivals: Floats
    late: Floats
    """Late requests, by their arrival."""
    left: Floats
    """Requests that left, by their arrival."""
    queued: Floats
    """Waiting at the end of the step."""
    serving: Floats
    starting: Floats
    standby: Floats
    draining: Floats
    """Mean number of pods in each phase."""
    latency_p50_s: Floats
    latency_p99_s: Floats
    """Over answered requests by arrival; NaN where nothing arrived."""


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that changed the size, or what ruled it."""

    at_s: float
    serving: int
    standby: int
    ruled_by: str
    reasons: tuple[tuple[str, int, int, str], ...]
    """Each stage: its name, serving, standby, reason."""


@dataclass(frozen=True, slots=True)
class Result:
    """One replay."""

    figures: Figures
    timeline: Timeline
    changes: tuple[Change, ...]
