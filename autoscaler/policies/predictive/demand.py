"""From scrapes to demand: requests in each interval, how long one takes, how unevenly they come, how many missed.

Everything is measured; the workload's figures are priors only (a mean service time 20 % too low breaks every
objective: research note "algorithm", C.9).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

from autoscaler.capacity.missed import ServiceLaw
from autoscaler.forecast.dispersion import Dispersion
from autoscaler.model import Missing, Reading, Scrape, Signals, Workload
from autoscaler.policies.predictive.service import ServiceMeter, increase, prior_law

LONGEST_SPREAD_S = 300.0
"""What came in a longer gap is not spread over it: that would look like a calm that never was."""

EARLY = 0.2
"""An interval is finished when so much of it, or less, is still to come: scrapes are never quite on time."""
ON_TIME = 1e-6
"""Part of the time between two scrapes that is no delay but arithmetic."""
USUAL_SCRAPES, FEWEST_SCRAPES = 9, 3
"""So many times between two scrapes, and at least so many, tell how far apart they usually are."""
LATE_SCRAPE = 1.5
"""A scrape that comes later than so many times the usual was preceded by lost ones."""
LONGEST_USUAL_S = 60.0
"""Scrapes that are usually further apart tell too little of what a pod has to meet."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One finished interval."""

    requests: float
    misses: float | None
    """None where nobody tells how many requests were late."""
    known: bool
    """Measured, not spread over lost scrapes."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Time of which nothing is known."""

    intervals: int


@dataclass(slots=True)
class Demand:
    """What the scrapes have told so far; updated in place.

    Attributes:
        law: the service as measured last.
        arrivals: how unevenly they come.
        service: what measures the law.
        queued: requests waiting at the last scrape.
        last: where the last finished interval ended, and what the counters stood at then.
        gaps_s: between the last scrapes, oldest first.
    """

    interval_s: float
    law: ServiceLaw
    arrivals: Dispersion
    service: ServiceMeter
    last: Scrape | None = None
    queued: float = 0.0
    gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=USUAL_SCRAPES))
    _scraped_s: float = math.nan
    _counted_over: int = 1
    """Intervals that the last count for the dispersion is of."""

    @classmethod
    def begin(cls, workload: Workload, interval_s: float) -> Demand:
        """Nothing measured yet: the workload's priors."""
        meter = ServiceMeter(1 - workload.objective_share, workload.batching)
        return cls(interval_s, prior_law(workload), Dispersion.over(interval_s), meter)

    @property
    def dispersion(self) -> float:
        """Variance over mean of the arrivals' counts."""
        return self.arrivals.value

    @property
    def usual_gap_s(self) -> float:
        """How far apart scrapes usually are; 0 while too few were seen."""
        return median(self.gaps_s) if len(self.gaps_s) >= FEWEST_SCRAPES else 0.0

    def said(self) -> Iterator[str]:
        """What is told too seldom, or not at all."""
        if self.usual_gap_s > LATE_SCRAPE * self.interval_s:
            yield f"scraped every {self.usual_gap_s:.0f} s: a jump is seen as much later"
        if self.last is not None and isinstance(self.last.late, Missing):
            yield "late requests are not told of: as many are believed to be late as the model expects"

    def take(self, signals: Signals) -> list[Interval | Gap]:
        """Finished intervals and gaps, oldest first."""
        return [interval for scrape in signals.scrapes for interval in self._close(scrape, signals.edges_s)]

    def _close(self, scrape: Scrape, edges_s: tuple[float, ...]) -> list[Interval | Gap]:
        if isinstance(scrape.received, Missing):
            return []
        self.queued = _number(scrape.queued, self.queued)
        usual_s, since_s, self._scraped_s = self.usual_gap_s, scrape.at_s - self._scraped_s, scrape.at_s
        if since_s > 0.0:  # not after the first one
            self.gaps_s.append(since_s)
        if self.last is None:
            self.last = scrape
            return []
        last, gap_s = self.last, scrape.at_s - self.last.at_s
        count = math.floor(gap_s / self.interval_s + EARLY)
        if count <= 0:
            return []
        span_s = count * self.interval_s
        self.law = self.service.measured(self.law, scrape, edges_s)
        if span_s > LONGEST_SPREAD_S or _fell(last.received, scrape.received):
            self.last = replace(scrape, at_s=last.at_s + span_s)
            self.arrivals.skip()
            return [Gap(count)]
        self.last = end = _until(last, scrape, span_s)
        misses = _misses(last, end, count)
        known = count == 1 or since_s <= min(LATE_SCRAPE * usual_s, LONGEST_USUAL_S)
        came = increase(last.received, end.received)
        self._vary(came, count, known=known)
        return [Interval(requests, misses, known) for requests in _split(came, count)]

    def _vary(self, came: float, count: int, *, known: bool) -> None:
        """Counts of as many intervals as before tell how unevenly requests come."""
        if not known or count != self._counted_over:
            self.arrivals.skip()
        if known:
            self.arrivals.add(came)
        self._counted_over = count


def _split(came: float, count: int) -> list[float]:
    """What several intervals brought together, evenly, in whole requests."""
    if count == 1:
        return [came]
    ends = [math.floor(came * done / count + 0.5) for done in range(count)] + [came]
    return [end - begin for begin, end in pairwise(ends)]


def _misses(before: Scrape, after: Scrape, count: int) -> float | None:
    """Missed requests of each of some intervals; None where it is not told which were late."""
    if isinstance(before.late, Missing) or isinstance(after.late, Missing):
        return None
    return (increase(before.late, after.late) + increase(before.left, after.left)) / count


def _until(last: Scrape, scrape: Scrape, span_s: float) -> Scrape:
    """What the counters stood at `span_s` after the last interval: on a straight line, where a scrape is later.

    Looks at a fleet whose pods are scraped each at a moment of its own lie as far apart as ticks do, not as intervals.
    What came since the end belongs to the next one. Nothing is added where a scrape is early.
    """
    at_s, gap_s = last.at_s + span_s, scrape.at_s - last.at_s
    share = span_s / gap_s
    if share >= 1.0 - ON_TIME:
        return replace(scrape, at_s=at_s, received=_whole(last.received, scrape.received))
    return replace(
        scrape,
        at_s=at_s,
        received=_whole(last.received, _between(last.received, scrape.received, share)),
        late=_between(last.late, scrape.late, share),
        left=_between(last.left, scrape.left, share),
    )


def _whole(before: Reading, now: Reading) -> Reading:
    """A counter that grows by whole requests; what is missing to the next one comes with it."""
    if isinstance(before, Missing) or isinstance(now, Missing):
        return now
    return before + math.floor(now - before + ON_TIME)


def _between(before: Reading, after: Reading, share: float) -> Reading:
    if isinstance(before, Missing) or isinstance(after, Missing):
        return after
    return before + share * (after - before)


def _fell(before: Reading, after: Reading) -> bool:
    """Whether a counter began anew: what it counted before is not known."""
    return not isinstance(before, Missing) and not isinstance(after, Missing) and after < before


def _number(reading: Reading, otherwise: float) -> float:
    return otherwise if isinstance(reading, Missing) else reading
