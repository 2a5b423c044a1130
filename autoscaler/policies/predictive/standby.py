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
from autoscaler.model import Missing, Scrape, Step
from autoscaler.policies.predictive.demand import Demand
from autoscaler.policies.predictive.price import NOW, Backlog, Bounds, backlog_pods, expected_misses_rps, want

KEPT_S = 30.0
"""A pod leaves service when it was not wanted for so long: what is saved sooner is not worth the relabelling."""
SURPRISE = 2.0
"""No load is served for in advance beyond this many times the largest that was seen."""
SMALLEST_SAVING = 1e-3
"""Of a serving pod that stands by instead; where it is nothing, whatever is loaded serves."""
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
    """What is known of the load at a tick."""

    at_s: float
    series: LoadSeries
    demand: Demand
    largest: float
    """Largest short mean that was ever seen, in requests an interval."""
    pods: int
    """Serving now."""
    loaded: int
    """Serving or standing by."""
    scrape: Scrape
    """The newest; it need not have ended an interval."""


@dataclass(slots=True)
class Gate:
    """What the next moments may bring, and what was wanted for them; updated in place.

    Attributes:
        rule: from the policy file.
        residuals: how far the next 15 s were off the present load.
        presents: present load before each of the last intervals, in requests an interval; oldest first.
        wanted: clock time, loaded pods that were worth serving then, and pods needed for what waited; of the last
            30 s, oldest first.
        foreseen: pods worth serving by the forecasts whose order window begins from now on; oldest first.
        last: the scrape that was seen last.
        usual: requests an interval at that time.
    """

    rule: Reserve
    residuals: Residuals
    presents: deque[float]
    wanted: deque[tuple[float, int, int]]
    foreseen: deque[int]
    last: Scrape | None = None
    usual: float = 0.0

    @classmethod
    def closed(cls, rule: Reserve, interval_s: float) -> Gate:
        """Nothing seen yet."""
        return cls(rule, Residuals(interval_s), deque(), deque(), deque())

    def go_on(self, before: Gate) -> None:
        """Under another rule: what was seen of the load stays, what was wanted does not."""
        self.residuals, self.presents = before.residuals, before.presents
        self.last, self.usual = before.last, before.usual

    def price(self, miss: float) -> float:
        """Of one miss for a pod that is loaded: what it costs more when it serves is the difference alone.

        The price of a miss is found by shadows whose pods all serve. Where a spare pod is cheap they hold many, and
        their misses are cheap by as much; here a miss is worth what it is where every pod costs one.
        """
        return miss / max(self.rule.price * (1.0 - self.rule.price), SMALLEST_SAVING)

    def foresaw(self, pods: int, lead: int) -> None:
        """Pods worth serving by the forecast of now, whose window begins `lead` intervals from now."""
        self.foreseen.append(pods)
        while len(self.foreseen) > lead + 1:
            self.foreseen.popleft()

    def interval_ended(self, series: LoadSeries, slots_per_request: float) -> None:
        """Book how the last 15 s came out against what was present before them."""
        if len(self.presents) == SHORT:
            came, was = series.now * slots_per_request, self.presents.popleft() * slots_per_request
            self.residuals.add(math.log((came + OFFSET) / (was + OFFSET)))
        self.presents.append(present(series))

    def look(self, moment: Moment, price: float, table: Table, rule: Backlog) -> None:
        """Judge how many loaded pods are worth serving for what may come within 15 s, and how many what waits needs.

        Args:
            moment: what is known now.
            price: of one miss, in pod-seconds.
            table: missed shares, one row for each number of pods.
            rule: when waiting work counts, and how fast it shall be gone.
        """
        law, series = moment.demand.law, moment.series
        scale = law.mean_s / series.interval_s
        slots = moment.pods * law.carried
        jumped = self._jumped(moment, slots / scale)
        load = max(present(series), jumped) * scale
        most = min(SURPRISE * max(moment.largest * scale, load, 1.0), table.carried)
        misses_rps = expected_misses_rps(self.residuals.histogram, load, most, table, law.mean_s)
        prices = np.array([self.price(price), price])
        worth, ordered = want(misses_rps, prices, Bounds(1, len(table.share))).tolist()
        waiting = np.array([moment.demand.queued * law.mean_s])
        drained = int(
            backlog_pods(np.array([load]), waiting, np.array([slots]), rule, NOW, slots_per_pod=law.carried)[0]
        )
        needed = max(drained, ordered if jumped else 0)
        self.want(moment.at_s, max([worth, *list(self.foreseen)[:1]]), needed=min(needed, moment.loaded))

    def want(self, at_s: float, worth: int, needed: int = 0) -> None:
        """So many are worth serving, and so many of those that are loaded are needed, from now on.

        More that were lately stay for a while.
        """
        self.wanted.append((at_s, worth, needed))
        while at_s - self.wanted[0][0] > KEPT_S:
            self.wanted.popleft()

    def _jumped(self, moment: Moment, capacity: float) -> float:
        """Requests an interval since a jump that the newest scrape shows; 0 where it shows none."""
        last, new, interval_s = self.last, moment.scrape, moment.series.interval_s
        if isinstance(new.received, Missing):
            return 0.0
        usual, self.usual = self.usual, present(moment.series)
        self.last = new
        if last is None or isinstance(last.received, Missing):
            return 0.0
        span = (new.at_s - last.at_s) / interval_s
        waiting = [each.queued for each in (last, new) if not isinstance(each.queued, Missing)]
        more_waiting = waiting[1] - waiting[0] if len(waiting) == 2 else 0.0
        return risen(usual, (new.received - last.received, span), more_waiting, capacity, SOONEST_S / interval_s)

    def split(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Steps of a rule that knows serving pods only, with those that are not wanted in service standing by.

        Args:
            steps: pods worth having at each stage, all as if they served; of several the first is the present.
        """
        rule, sizes = self.rule, steps[1:] or steps
        worth = max((worth for _, worth, _ in self.wanted), default=0)
        needed = max([rule.serving, *(needed for _, _, needed in self.wanted)])
        why = f"{rule.serving} serve always, and what waits is drained"
        parted = [*steps[: -len(sizes)], Step("serving", needed, 0, why)]
        for step in sizes:
            inside = max(needed, min(worth, step.serving), step.serving - rule.most)
            parted.append(Step(step.stage, inside, max(step.serving - inside, 0), step.reason))
        last = parted[-1]
        if last.standby < rule.least:
            parted.append(Step("reserve", last.serving, rule.least, f"at least {rule.least} loaded pods stand by"))
        return tuple(parted)


def present(series: LoadSeries) -> float:
    """Requests an interval that serving pods must carry now: growth counts at once, a fall when it has lasted."""
    return max(series.last, series.now)


def risen(usual: float, came: tuple[float, float], more_waiting: float, capacity: float, soonest: float) -> float:
    """Requests an interval since a jump that fell between two scrapes; 0 where there was none.

    A scrape one second after a jump shows a fifth of it. What waits tells when it came: since then the pods were busy
    all the time, so of the requests beyond the usual all but `capacity - usual` an interval since now wait.

    Args:
        usual: requests an interval before.
        came: requests between the two scrapes, and the intervals between them.
        more_waiting: growth of the queue between them, in requests.
        capacity: requests that the serving pods can answer in an interval.
        soonest: intervals for which a jump is taken to last when it is seen.
    """
    requests, span = came
    more = requests - usual * span
    if span <= 0 or more_waiting <= 0 or more <= NOISE * math.sqrt(requests) or usual >= capacity:
        return 0.0
    since = (more - more_waiting) / (capacity - usual)
    return usual + more / min(max(since, min(soonest, span)), span)
