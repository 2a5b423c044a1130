"""Loaded pods that are kept out of the Service: how many serve now, and how many stand by.

An order takes a cold start, a promotion a second. So pods must serve for the next moments only; whatever else is
worth having costs a standby pod's price. Research note "algorithm", C.4, has the sketch; docs/standby.md what it buys.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from autoscaler.capacity.missed import Table
from autoscaler.forecast.bins import OFFSET
from autoscaler.forecast.residual import Residuals
from autoscaler.forecast.series import SHORT, LoadSeries
from autoscaler.model import Step
from autoscaler.policies.predictive.demand import Demand
from autoscaler.policies.predictive.price import Backlog, Bounds, backlog_pods, expected_misses_rps, want

KEPT_S = 30.0
"""A pod leaves service when it was not wanted for so long: what is saved sooner is not worth the relabelling."""
SURPRISE = 2.0
"""No load is served for in advance beyond this many times the largest that was seen."""
NOISE = 3.0
"""Standard deviations of a Poisson count: growth above is no chance."""
SOONEST_S = 1.0
"""A jump is taken to be at least so old when a scrape shows it."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """What the policy file says of gated standby pods."""

    least: int
    most: int
    price: float = 1.0
    """Of a standby pod, a serving one costing 1."""
    serving: int = 1
    """So many serve at least."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of the load when an interval has just ended."""

    series: LoadSeries
    demand: Demand
    largest: float
    """Largest short mean that was ever seen, in requests an interval."""
    pods: int
    """Serving now."""


@dataclass(slots=True)
class Gate:
    """What the next moments may bring, and what was wanted for them; updated in place.

    Attributes:
        rule: from the policy file.
        residuals: how far the next 15 s were off the present load.
        presents: present load before each of the last intervals, in requests an interval; oldest first.
        wanted: serving pods worth their cost at the last ticks.
        queued: requests that waited at the last tick.
    """

    rule: Reserve
    residuals: Residuals
    presents: deque[float]
    wanted: deque[int]
    queued: float = 0.0

    @classmethod
    def closed(cls, rule: Reserve, interval_s: float) -> Gate:
        """Nothing seen yet."""
        return cls(rule, Residuals(interval_s), deque(), deque(maxlen=max(1, round(KEPT_S / interval_s))))

    def interval_ended(self, series: LoadSeries, slots_per_request: float) -> None:
        """Book how the last 15 s came out against what was present before them."""
        if len(self.presents) == SHORT:
            came, was = float(series.short[-1]) * slots_per_request, self.presents.popleft() * slots_per_request
            self.residuals.add(math.log((came + OFFSET) / (was + OFFSET)))
        self.presents.append(present(series))

    def serving(self, moment: Moment, price: float, table: Table, rule: Backlog) -> int:
        """Pods worth their cost for what may come within 15 s, and for what waits; what was wanted lately stays.

        Args:
            moment: what is known now.
            price: of one miss, in pod-seconds.
            table: missed shares, one row for each number of pods.
            rule: when waiting work counts, and how fast it shall be gone.
        """
        law, series = moment.demand.law, moment.series
        scale = law.mean_s / series.interval_s
        slots = float(moment.pods * law.slots)
        jumped = risen(series, moment.demand.queued - self.queued, slots / scale)
        load = max(present(series), jumped) * scale
        most = min(SURPRISE * max(moment.largest * scale, load, 1.0), table.carried)
        misses_rps = expected_misses_rps(self.residuals.histogram, load, most, table, law.mean_s)
        wanted = int(want(misses_rps, np.array([price]), Bounds(1, len(table.share)))[0])
        waiting = np.array([moment.demand.queued * law.mean_s])
        drained = int(
            backlog_pods(np.array([load]), waiting, np.array([slots]), rule, slots_per_pod=law.slots, lead_s=0.0)[0]
        )
        self.wanted.append(min(max(wanted, drained), len(table.share)))
        self.queued = moment.demand.queued
        return max(self.wanted)

    def split(self, serving: int, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Steps of a rule that knows serving pods only, with those that are not wanted in service standing by.

        Args:
            serving: pods that must serve.
            steps: pods worth having at each stage, all as if they served; of several the first is the present.
        """
        rule, worth = self.rule, steps[1:] or steps
        why = "worth their cost for what may come in the next moments, and for what waits"
        serving = max(serving, rule.serving)
        parted = [*steps[: -len(worth)], Step("serving", serving, 0, why)]
        for step in worth:
            inside = max(serving, step.serving - rule.most)
            parted.append(Step(step.stage, inside, max(step.serving - inside, 0), step.reason))
        last = parted[-1]
        if last.standby < rule.least:
            parted.append(Step("reserve", last.serving, rule.least, f"at least {rule.least} loaded pods stand by"))
        return tuple(parted)


def present(series: LoadSeries) -> float:
    """Requests an interval that serving pods must carry now: growth counts at once, a fall when it has lasted."""
    return max(series.last, float(series.short[-1])) if len(series) else 0.0


def risen(series: LoadSeries, more_waiting: float, capacity: float) -> float:
    """Requests an interval since a jump that fell inside the last interval; 0 where there was none.

    A scrape one second after a jump shows a fifth of it. What waits tells when it came: since then the pods were busy
    all the time, so of the requests beyond the usual all but `capacity - usual` for each moment since now wait.

    Args:
        series: the load, whose last interval has just ended.
        more_waiting: growth of the queue over the interval, in requests.
        capacity: requests that the serving pods can answer in an interval.
    """
    if len(series) < 2:
        return 0.0
    usual, last = float(series.short[-2]), series.last
    more = last - usual
    if more_waiting <= 0 or more <= NOISE * math.sqrt(last) or usual >= capacity:
        return 0.0
    part = (more - more_waiting) / (capacity - usual)
    return usual + more / min(max(part, SOONEST_S / series.interval_s), 1.0)
