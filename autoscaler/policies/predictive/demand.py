"""From scrapes to demand: requests in each interval, how long one takes, how unevenly they come, how many missed.

Everything is measured; the workload's figures are priors only (a mean service time 20 % too low breaks every
objective: research note "algorithm", C.9).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace

from autoscaler.capacity.missed import ServiceLaw
from autoscaler.forecast.dispersion import Dispersion
from autoscaler.model import Histogram, Missing, Reading, Scrape, Signals, Workload

SERVICE_WINDOW_S = 600.0
SERVICE_COMPLETIONS = 200.0
LONGEST_SPREAD_S = 300.0
"""What came in a longer gap is not spread over it: that would look like a calm that never was."""
SERVICE_CHANGE = 0.03
"""A new mean is adopted when it differs by more than this."""


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
        queued: requests waiting at the last scrape.
        last: the last scrape that closed an interval.
    """

    interval_s: float
    law: ServiceLaw
    arrivals: Dispersion
    last: Scrape | None = None
    queued: float = 0.0
    _services: deque[Scrape] = field(default_factory=deque)

    @classmethod
    def begin(cls, workload: Workload, interval_s: float) -> Demand:
        """Nothing measured yet: the workload's priors."""
        return cls(interval_s, prior_law(workload), Dispersion.over(interval_s))

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
        last, count = self.last, round((scrape.at_s - self.last.at_s) / self.interval_s)
        if count <= 0:
            return []
        self.last = scrape
        self._measure_service(scrape, edges_s)
        if count * self.interval_s > LONGEST_SPREAD_S or _fell(last.received, scrape.received):
            self.arrivals.skip()
            return [Gap(count)]
        requests = _increase(last.received, scrape.received) / count
        misses = (_increase(last.late, scrape.late) + _increase(last.left, scrape.left)) / count
        if count == 1:
            self.arrivals.add(requests)
        else:
            self.arrivals.skip()
        return [Interval(requests, misses, known=count == 1)] * count

    def _measure_service(self, scrape: Scrape, edges_s: tuple[float, ...]) -> None:
        if isinstance(scrape.service_s, Missing) or isinstance(scrape.completed, Missing):
            return
        past = self._services
        past.append(scrape)
        while scrape.at_s - past[0].at_s > SERVICE_WINDOW_S:
            past.popleft()
        done = _increase(past[0].completed, scrape.completed)
        if done < SERVICE_COMPLETIONS:
            return
        mean_s = _increase(past[0].service_s, scrape.service_s) / done
        if mean_s > 0 and abs(mean_s / self.law.mean_s - 1) > SERVICE_CHANGE:
            self.law = _law(self.law, mean_s, past[0].service, scrape.service, edges_s)


def prior_law(workload: Workload) -> ServiceLaw:
    """The service as the workload file describes it: log-normal service times."""
    variance = math.log1p(workload.service_cv**2)
    spread = math.sqrt(variance)
    location = math.log(workload.service_mean_s) - variance / 2
    above = 0.0
    if spread > 0:
        above = 0.5 * math.erfc((math.log(workload.objective_s) - location) / spread / math.sqrt(2))
    return ServiceLaw(
        mean_s=workload.service_mean_s,
        cs2=workload.service_cv**2,
        objective_s=workload.objective_s,
        sure_miss_ratio=above,
        slots=workload.concurrency,
        routing=workload.routing,
    )


def _law(
    law: ServiceLaw, mean_s: float, first: Histogram | Missing, last: Histogram | Missing, edges_s: tuple[float, ...]
) -> ServiceLaw:
    """The law with a newly measured mean, and with the histogram's variation and tail where there is one."""
    if isinstance(first, Missing) or isinstance(last, Missing) or law.objective_s not in edges_s:
        return replace(law, mean_s=mean_s)
    sums = [b - a for a, b in zip(first.counts, last.counts, strict=True)]
    total = max(sums[-1], 1.0)
    tail = 1.0 - sums[edges_s.index(law.objective_s)] / total
    return replace(law, mean_s=mean_s, sure_miss_ratio=min(max(tail, 0.0), 0.5))


def _fell(before: Reading, after: Reading) -> bool:
    """Whether a counter began anew: what it counted before is not known."""
    return not isinstance(before, Missing) and not isinstance(after, Missing) and after < before


def _number(reading: Reading, otherwise: float) -> float:
    return otherwise if isinstance(reading, Missing) else reading


def _increase(before: Reading, after: Reading) -> float:
    """Growth of a counter; 0 where either end is missing, which its caller has excluded or may ignore."""
    if isinstance(before, Missing) or isinstance(after, Missing):
        return 0.0
    return max(after - before, 0.0)
