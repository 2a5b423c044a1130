"""How long a request takes on a pod, as measured: mean, variation, and the share that is late by itself.

The workload's figures are priors only: a mean that is 20 % too low breaks every objective (research note "algorithm",
C.9). The mean is that of ten minutes; where the last minute differs beyond chance, what lies before it is forgotten.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

from autoscaler.capacity.missed import ServiceLaw
from autoscaler.model import Batching, Histogram, Missing, Reading, Scrape, Workload

WINDOW_S = 600.0
COMPLETIONS = 200.0
"""A mean of fewer is not adopted."""
CHANGE, CHANCE = 0.03, 2.0
"""A new mean is adopted when it differs by more than this share, and by so many standard errors."""
SPREAD_CHANGE = 0.1
"""So is a new variation, when 1 + cs2 does."""
TAIL_CHANGE = 0.001
BELIEVED = 2000.0
"""So many requests what was believed of variation and tail weighs: of a few hundred requests, late ones are chance."""
RECENT_S = 60.0
RECENT_COMPLETIONS = 50.0
JUMP, JUMP_ERRORS = 0.15, 4.0
"""The last minute's mean has jumped when it differs by this share and by so many standard errors."""
SURE_ERRORS = 3.0
MOST_CS2 = 16.0


@dataclass(slots=True)
class ServiceMeter:
    """Measures the service from scrapes; updated in place.

    Attributes:
        budget: share of requests that may miss.
        batching: how pods serve several requests together.
        out_of_reach: beyond chance, more requests than that are late by themselves: no number of pods can help.
    """

    budget: float
    batching: Batching = field(default_factory=Batching)
    out_of_reach: bool = False
    _past: deque[Scrape] = field(default_factory=deque)

    def measured(self, law: ServiceLaw, scrape: Scrape, edges_s: tuple[float, ...]) -> ServiceLaw:
        """The law after one more scrape: the same one until it has changed."""
        if isinstance(scrape.service_s, Missing) or isinstance(scrape.completed, Missing):
            return law
        past = self._past
        past.append(scrape)
        while scrape.at_s - past[0].at_s > WINDOW_S:
            past.popleft()
        jumped = self._forget_before_a_jump(law.cs2)
        done, mean_s = _alone_s(past[0], scrape, self.batching)
        if done < (RECENT_COMPLETIONS if jumped else COMPLETIONS) or mean_s <= 0:
            return law
        found = self._law(law, mean_s, past[0].service, scrape.service, edges_s)
        return found if _differs(found, law, done) else law

    def _forget_before_a_jump(self, cs2: float) -> bool:
        """Keep only the last minute where it is another service than before it."""
        past, now = self._past, self._past[-1]
        recent = next((i for i in range(len(past) - 1, -1, -1) if now.at_s - past[i].at_s >= RECENT_S), 0)
        before, before_s = _alone_s(past[0], past[recent], self.batching)
        since, since_s = _alone_s(past[recent], now, self.batching)
        if min(before, since) < RECENT_COMPLETIONS or before_s <= 0:
            return False
        chance = JUMP_ERRORS * math.sqrt(cs2 / since)
        if abs(since_s / before_s - 1) <= max(JUMP, chance):
            return False
        for _ in range(recent):
            past.popleft()
        return True

    def _law(
        self,
        law: ServiceLaw,
        mean_s: float,
        first: Histogram | Missing,
        last: Histogram | Missing,
        edges_s: tuple[float, ...],
    ) -> ServiceLaw:
        """The law with a newly measured mean, and with the histogram's variation and tail where there is one.

        Of batches the histogram does not tell what one request would have taken: there the priors stay.
        """
        if self.batching.size > 1:
            return replace(law, mean_s=mean_s)
        if isinstance(first, Missing) or isinstance(last, Missing) or len(last.counts) != len(edges_s) + 1:
            return replace(law, mean_s=mean_s)
        within = [b - a for a, b in zip(first.counts, last.counts, strict=True)]
        if min(within) < 0 or within[-1] <= 0:
            return replace(law, mean_s=mean_s)
        total = within[-1]
        new = total / (total + BELIEVED)
        cs2 = law.cs2 + new * (variation(within, edges_s) - law.cs2)
        if law.objective_s not in edges_s:
            return replace(law, mean_s=mean_s, cs2=cs2)
        late = total - within[edges_s.index(law.objective_s)]
        self.out_of_reach = late - SURE_ERRORS * math.sqrt(max(late, 0.0)) > self.budget * total
        tail = law.sure_miss_ratio + new * (late / total - law.sure_miss_ratio)
        return replace(law, mean_s=mean_s, cs2=cs2, sure_miss_ratio=min(max(tail, 0.0), 0.5))


def variation(within: list[float], edges_s: tuple[float, ...]) -> float:
    """Squared coefficient of variation of a histogram.

    Within a bucket a time's logarithm is taken as uniform (in the first, the time itself); what lies above the last
    edge counts as at it.

    Args:
        within: observations at or below each edge, the last one those of all; shape (edges + 1,).
        edges_s: upper edges; shape (edges,).
    """
    total, first, last_s = within[-1], within[0], edges_s[-1]
    sum_s, squares = first * edges_s[0] / 2, first * edges_s[0] ** 2 / 3
    for (before, until), (growth, width_s, width_s2) in zip(pairwise(within[:-1]), _widths(edges_s), strict=True):
        each = (until - before) / growth
        sum_s += each * width_s
        squares += each * width_s2 / 2
    above = total - within[-2]
    mean_s, square = (sum_s + above * last_s) / total, (squares + above * last_s**2) / total
    return min(max(square / mean_s**2 - 1, 0.0), MOST_CS2)


@lru_cache(maxsize=64)
def _widths(edges_s: tuple[float, ...]) -> tuple[tuple[float, float, float], ...]:
    """Of each bucket but the first: logarithm of its edges' ratio, and their difference, plain and squared."""
    return tuple((math.log(high / low), high - low, high**2 - low**2) for low, high in pairwise(edges_s))


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
        batching=workload.batching,
    )


def _differs(found: ServiceLaw, law: ServiceLaw, done: float) -> bool:
    """Whether a law found over some requests is another one than that in force, beyond chance."""
    return (
        abs(found.mean_s / law.mean_s - 1) > max(CHANGE, CHANCE * math.sqrt(law.cs2 / done))
        or abs((1 + found.cs2) / (1 + law.cs2) - 1) > SPREAD_CHANGE
        or abs(found.sure_miss_ratio - law.sure_miss_ratio) > TAIL_CHANGE
    )


def _alone_s(first: Scrape, last: Scrape, batching: Batching) -> tuple[float, float]:
    """Requests completed between two scrapes, and the mean time that one would have taken alone.

    Where busy time is not exported each counts as served alone, which asks for more pods.
    """
    done = increase(first.completed, last.completed)
    if done <= 0:
        return done, 0.0
    service_s = increase(first.service_s, last.service_s)
    busy_s = increase(first.busy_s, last.busy_s)
    if batching.size == 1 or busy_s <= 0:
        return done, service_s / done
    batch = mean_batch(service_s / busy_s, batching)
    return done, busy_s / done * batch / batching.takes(batch)


def mean_batch(shared: float, batching: Batching) -> float:
    """Mean size of the batches.

    The service times count a batch's time once for each of its requests, the busy slots count it once. Of batches of
    n, n - 1 of them as Poisson's law has it, the ratio is (a + b (n + 1 - 1/n)) / (a/n + b), solved here for n.

    Args:
        shared: seconds of service over busy seconds of slots.
        batching: a is its base share, b the rest.
    """
    a, b = batching.base_share, 1 - batching.base_share
    shared = max(shared, 1.0)
    linear, constant = 1 - b * shared, b + a * shared
    return min(2 * constant / (linear + math.sqrt(linear**2 + 4 * b * constant)), float(batching.size))


def increase(before: Reading, after: Reading) -> float:
    """Growth of a counter; 0 where either end is missing, which its caller has excluded or may ignore."""
    if isinstance(before, Missing) or isinstance(after, Missing):
        return 0.0
    return max(after - before, 0.0)
