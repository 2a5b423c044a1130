"""From scrapes to demand: requests in each interval, how long one takes, how unevenly they come, how many missed.

Everything is measured; the workload's figures are priors only (a mean service time 20 % too low breaks every
objective: research note "algorithm", C.9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Interval:
    """One finished interval."""

    requests: float
    misses: float
    known: bool
    """Measured, not spread over a gap."""


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
    """

    interval_s: float
    law: ServiceLaw
    arrivals: Dispersion
    service: ServiceMeter
    last: Scrape | None = None
    queued: float = 0.0

    @classmethod
    def begin(cls, workload: Workload, interval_s: float) -> Demand:
        """Nothing measured yet: the workload's priors."""
        meter = ServiceMeter(1 - workload.objective_share, workload.batching)
        return cls(interval_s, prior_law(workload), Dispersion.over(interval_s), meter)

    @property
    def dispersion(self) -> float:
        """Variance over mean of the arrivals' counts."""
        return self.arrivals.value

    def take(self, signals: Signals) -> list[Interval | Gap]:
        """Finished intervals and gaps, oldest first."""
        return [interval for scrape in signals.scrapes for interval in self._close(scrape, signals.edges_s)]

    def _close(self, scrape: Scrape, edges_s: tuple[float, ...]) -> list[Interval | Gap]:
        if isinstance(scrape.received, Missing):
            return []
        self.queued = _number(scrape.queued, self.queued)
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
        requests = increase(last.received, end.received) / count
        misses = (increase(last.late, end.late) + increase(last.left, end.left)) / count
        if count == 1:
            self.arrivals.add(requests)
        else:
            self.arrivals.skip()
        return [Interval(requests, misses, known=count == 1)] * count


def _until(last: Scrape, scrape: Scrape, span_s: float) -> Scrape:
    """What the counters stood at `span_s` after the last interval: on a straight line, where a scrape is later.

    Looks at a fleet whose pods are scraped each at a moment of its own lie as far apart as ticks do, not as intervals.
    What came since the end belongs to the next one. Nothing is added where a scrape is early.
    """
    at_s, gap_s = last.at_s + span_s, scrape.at_s - last.at_s
    share = span_s / gap_s
    if share >= 1.0 - ON_TIME:
        return replace(scrape, at_s=at_s)
    return replace(
        scrape,
        at_s=at_s,
        received=_between(last.received, scrape.received, share),
        late=_between(last.late, scrape.late, share),
        left=_between(last.left, scrape.left, share),
    )


def _between(before: Reading, after: Reading, share: float) -> Reading:
    if isinstance(before, Missing) or isinstance(after, Missing):
        return after
    return before + share * (after - before)


def _fell(before: Reading, after: Reading) -> bool:
    """Whether a counter began anew: what it counted before is not known."""
    return not isinstance(before, Missing) and not isinstance(after, Missing) and after < before


def _number(reading: Reading, otherwise: float) -> float:
    return otherwise if isinstance(reading, Missing) else reading
