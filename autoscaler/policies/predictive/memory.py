"""All that the predictive policy carries from tick to tick.

Arrays grow and decay in place: a memory is owned by one target and handed on, never kept twice.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from autoscaler.capacity.missed import Table
from autoscaler.forecast.features import DAY_S, LEVEL_S, Layout
from autoscaler.forecast.forest import Forest
from autoscaler.forecast.leadtime import LeadTime, Windows
from autoscaler.forecast.recent import Recent
from autoscaler.forecast.residual import Residuals
from autoscaler.forecast.sample import Pool
from autoscaler.forecast.series import LoadSeries
from autoscaler.model import Proposal
from autoscaler.policies.predictive.borrowing import Borrowing
from autoscaler.policies.predictive.calendar import Announced
from autoscaler.policies.predictive.demand import Demand
from autoscaler.policies.predictive.keeping import Keeping
from autoscaler.policies.predictive.shadows import Shadows
from autoscaler.policies.predictive.standby import Gate
from autoscaler.policies.predictive.steering import Steering
from autoscaler.policies.predictive.trust import Trust
from autoscaler.policies.predictive.watch import Watch

Floats = npt.NDArray[np.floating]


@dataclass(slots=True)
class Average:
    """Exponential average of requests an interval, free of the start's bias."""

    keep: float
    total: float = 0.0
    weight: float = 0.0

    @classmethod
    def over(cls, memory_s: float, interval_s: float) -> Average:
        """With the given memory, nothing seen yet."""
        return cls(math.exp(-interval_s / memory_s))

    def add(self, value: float) -> None:
        """One more interval."""
        self.total = self.total * self.keep + (1 - self.keep) * value
        self.weight = self.weight * self.keep + (1 - self.keep)

    def restart(self, value: float) -> None:
        """Forget all; the guess gives way to the next interval."""
        self.weight = 1e-3 * (1 - self.keep)
        self.total = value * self.weight

    def add_all(self, values: Floats) -> None:
        """Many intervals, oldest first, as if each was added."""
        fade = self.keep ** np.arange(len(values) - 1, -1, -1)
        gone = self.keep ** len(values)
        self.total = self.total * gone + (1 - self.keep) * float(values @ fade)
        self.weight = self.weight * gone + 1 - gone

    @property
    def value(self) -> float:
        """The average; 0 before anything was seen."""
        return self.total / self.weight if self.weight else 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """A finished forest with what it was fitted for."""

    forest: Forest
    pool: Pool
    """Of the moments that it was grown on."""
    layout: Layout
    windows: Windows
    rhythm_s: float | None = None
    """A period found in the data that the fixed list lacks."""


@dataclass(slots=True)
class Traffic:
    """The load so far, and what features need of it besides."""

    series: LoadSeries
    level: Average
    daily: Average
    largest: float = 0.0
    """Largest short mean that was ever seen, in requests an interval."""
    last_high_s: float = -math.inf
    """Clock time until which the short mean was last above half of the day's largest."""
    levels: deque[float] = field(default_factory=deque)
    """Present level before each of the last intervals, in requests an interval; oldest first."""

    @classmethod
    def begin(cls, interval_s: float, start_s: float) -> Traffic:
        """Nothing seen yet."""
        series = LoadSeries(interval_s, start_s)
        return cls(series, Average.over(LEVEL_S, interval_s), Average.over(DAY_S, interval_s))


@dataclass(slots=True)
class Memory:
    """The whole state of one target's policy."""

    traffic: Traffic
    demand: Demand
    lead: LeadTime
    windows: Windows
    order_residuals: Residuals
    hold_residuals: Residuals
    shadows: Shadows
    steering: Steering
    trust: Trust
    keeping: Keeping
    """The target's own pods."""
    watch: Watch = field(default_factory=Watch)
    announced: Announced = field(default_factory=Announced)
    """What the calendar says of the hold window, in requests an interval."""
    model: Model | None = None
    recent: Recent | None = None
    """What came since the model was learned."""
    borrowing: Borrowing | None = None
    """What other services taught, while the own history is short."""
    gate: Gate | None = None
    """Where spare pods stand by, what decides how many serve."""
    missed: Table | None = None
    """What the service misses, by load and pods, as it was measured last."""
    wish: Proposal | None = None
    """The last one; a tick that learns nothing new repeats it."""
    next_fit_s: float = math.inf
    began_s: float = math.nan
    """Clock time of the first tick."""
    history_s: float = 0.0
    """Length of the history that was there before the first tick."""
    observed_s: float = 0.0
    """Of the first minute, what other ticks or Prometheus have seen already."""
    knows_the_past: bool = False
    """What a history taught beside the ticks has come."""
    cleared: bool = False
    """The shadows forgot their first moments."""
    loaded: frozenset[str] = frozenset()
    """Pods whose start was counted."""
    starts_as: str = ""
    """What they start from: see `Fleet`."""

    @property
    def target(self) -> int:
        """Pods that are wanted now."""
        return int(self.keeping.target[0])
