"""How long a pod takes from its order until it serves, learned from the starts that were seen.

Log-normal, shrunk to the policy file's prior while few starts are known (research note "algorithm", C.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist

from autoscaler.model import ColdStart

PRIOR_STARTS = 8
"""Starts that the prior counts for."""
KEPT_STARTS = 200
"""Older starts are forgotten: images, nodes and caches change."""


@dataclass(frozen=True, slots=True)
class LeadTime:
    """The law of the lead time after some starts."""

    prior: ColdStart
    starts_s: tuple[float, ...] = ()
    """Leads of finished starts, oldest first."""

    def learned(self, *leads_s: float) -> LeadTime:
        """With further finished starts."""
        return replace(self, starts_s=(*self.starts_s, *(max(lead, 0.1) for lead in leads_s))[-KEPT_STARTS:])

    def forgotten(self) -> LeadTime:
        """Back to the prior: a new image or node pool starts otherwise."""
        return LeadTime(self.prior)

    def quantiles_s(self, *probabilities: float) -> tuple[float, ...]:
        """Seconds that a start stays under with each of the given probabilities."""
        law = _law(self.prior, self.starts_s)
        return tuple(math.exp(law.inv_cdf(p)) for p in probabilities)


@lru_cache(maxsize=1024)
def _law(prior: ColdStart, starts_s: tuple[float, ...]) -> NormalDist:
    """The normal law of the logarithm; kept, because starts are rare beside ticks."""
    logs = [math.log(lead) for lead in starts_s]
    weight = PRIOR_STARTS + len(logs)
    mean = (PRIOR_STARTS * math.log(prior.typical_s) + sum(logs)) / weight
    spread = PRIOR_STARTS * prior.sigma**2 + sum((log - mean) ** 2 for log in logs)
    return NormalDist(mean, max(math.sqrt(spread / weight), 1e-3))


@dataclass(frozen=True, slots=True)
class Windows:
    """Spans of the future that a decision looks at, in intervals after the present one."""

    lead: int
    """Typical lead."""
    order: tuple[int, int]
    """Where a pod ordered now would begin to serve: from an early start to a late one."""
    hold: int
    """Up to here a pod dropped now could not pay: two leads (a new start costs its lead in pod-seconds)."""
    served_from: int
    """Pods ordered now serve whole intervals from here on."""

    @property
    def horizon(self) -> int:
        """Intervals after which both windows are over."""
        return max(self.order[1], self.hold)


def alike(one: Windows, other: Windows) -> bool:
    """Whether no bound differs by more than one interval: a bound on a rounding edge must not flip a model."""
    bounds = [(w.lead, *w.order, w.hold, w.served_from) for w in (one, other)]
    return all(abs(a - b) <= 1 for a, b in zip(*bounds, strict=True))


def windows(lead: LeadTime, interval_s: float, data_age_s: float) -> Windows:
    """The windows that follow from the lead time.

    `data_age_s` is how old the newest finished interval is when the decision is made.
    """
    early, typical, late = lead.quantiles_s(0.20, 0.50, 0.95)
    start = round(early / interval_s)
    end = max(start + 4, math.ceil(late / interval_s))
    return Windows(
        lead=round(typical / interval_s),
        order=(start, end),
        hold=max(start + 4, round(2 * typical / interval_s) + 1),
        served_from=math.ceil((typical + data_age_s) / interval_s),
    )
