"""The last hour of every target, for the status page: sizes, load, forecasts, and decisions that changed something."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autoscaler.journal.explain import explain
from autoscaler.model import Decision, Missing, Observation, Phase, Tick

POINTS = 360
STEP_S = 10.0
"""Between two points; a tick that comes sooner takes the place of the one before."""
CHANGES = 40
FIGURES = ("load_now", "load_p50", "load_p90", "load_p99", "lead_p50_s")
COLUMNS = (*(phase.value for phase in Phase), "wanted", "wanted_standby", *FIGURES)


@dataclass(slots=True)
class Trail:
    """One target. Points lie in a ring of a fixed size: a thousand targets take under 20 MB."""

    at_s: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.zeros(POINTS))
    values: np.ndarray[Any, np.dtype[np.float32]] = field(
        default_factory=lambda: np.full((POINTS, len(COLUMNS)), np.nan, dtype=np.float32)
    )
    count: int = 0
    changes: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=CHANGES))
    latest: Mapping[str, Any] = field(default_factory=dict)
    ruled: tuple[object, ...] = ()
    ticks: tuple[Tick | None, Tick | None] = (None, None)
    """The last two that decided."""

    def take(self, tick: Tick) -> None:
        """One more tick."""
        if isinstance(tick.seen, Missing) or tick.decision is None:
            self.latest = {**self.latest, "wrong": str(tick.seen)}
            return
        seen, decision = tick.seen, tick.decision
        self._point(seen, decision)
        reason = next(step.reason for step in reversed(decision.steps) if step.stage == decision.ruled_by)
        size = {"serving": decision.serving, "standby": decision.standby}
        scrapes = seen.signals.scrapes
        self.latest = {
            **size,
            "at": seen.at_s,
            "replicas": seen.fleet.replicas,
            "pods": {phase.value: seen.fleet.count(phase) for phase in Phase},
            "ruledBy": decision.ruled_by,
            "reason": reason,
            "paused": seen.paused,
            "dataAgeSeconds": seen.at_s - scrapes[-1].at_s if scrapes else None,
            "wrong": "; ".join(map(str, seen.signals.problems)),
        }
        ruled = (decision.serving, decision.standby, decision.ruled_by)
        if ruled != self.ruled:
            self.ruled = ruled
            self.changes.append({"at": seen.at_s, **size, "ruledBy": decision.ruled_by, "reason": reason})
        self.ticks = self.ticks[1], tick

    def _point(self, seen: Observation, decision: Decision) -> None:
        last = (self.count - 1) % POINTS
        if not self.count or not 0 <= seen.at_s - self.at_s[last] < STEP_S:  # a clock may be set back
            last = self.count % POINTS
            self.count += 1
            self.at_s[last] = seen.at_s
        insight = decision.insight
        self.values[last] = (
            *(seen.fleet.count(phase) for phase in Phase),
            decision.serving,
            decision.standby,
            *(insight.get(name, math.nan) for name in FIGURES),
        )

    def explained(self) -> list[str]:
        """The last decision in words, line by line."""
        before, tick = self.ticks
        return explain(tick, before) if tick is not None else []

    def points(self) -> list[list[float | None]]:
        """Time and columns of each point, oldest first; None where there is no such figure."""
        order = np.arange(max(0, self.count - POINTS), self.count) % POINTS
        rows = np.column_stack([self.at_s[order], self.values[order].astype(np.float64)]).tolist()
        return [[None if math.isnan(value) else round(value, 3) for value in row] for row in rows]


class Board:
    """Journal that keeps what the status page shows. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trails: dict[str, Trail] = {}

    def append(self, tick: Tick) -> None:
        """See `Journal`."""
        with self._lock:
            self._trails.setdefault(tick.target, Trail()).take(tick)

    def forget(self, target: str) -> None:
        """Show a target no more."""
        with self._lock:
            self._trails.pop(target, None)

    def overview(self) -> dict[str, Any]:
        """Every target as of its last tick."""
        with self._lock:
            rows = [{"target": name, **trail.latest} for name, trail in sorted(self._trails.items())]
        return {"targets": rows}

    def detail(self, target: str) -> dict[str, Any] | None:
        """One target's last hour; None for one that was never seen here."""
        with self._lock:
            trail = self._trails.get(target)
            if trail is None:
                return None
            return {
                "target": target,
                "columns": ["at", *COLUMNS],
                "points": trail.points(),
                "changes": list(reversed(trail.changes)),
                "latest": dict(trail.latest),
                "explained": trail.explained(),
            }
