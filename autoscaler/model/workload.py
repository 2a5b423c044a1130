"""What is served: times, objective, bounds. Priors for the controller, the law for a simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

Z95 = 1.6448536269514722
"""95 % quantile of the standard normal."""


class Routing(StrEnum):
    """How requests find a pod."""

    SHARED_QUEUE = "shared-queue"
    LEAST_OUTSTANDING = "least-outstanding"
    ROUND_ROBIN = "round-robin"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Log-normal time from the order of a pod until it is loaded."""

    typical_s: float
    """Median."""
    slow_s: float
    """95 % quantile."""

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return math.log(self.slow_s / self.typical_s) / Z95


@dataclass(frozen=True, slots=True)
class Workload:
    """One speech service."""

    name: str
    objective_s: float
    """A request answered later than this misses."""
    objective_share: float
    """Share of requests that must be within the objective, 0 to 1."""
    service_mean_s: float
    service_cv: float
    """Coefficient of variation of the service time."""
    cold_start: ColdStart
    concurrency: int = 1
    """Requests that one pod serves at a time."""
    routing: Routing = Routing.SHARED_QUEUE
    patience_s: float = math.inf
    """A request that has waited this long leaves."""
    min_replicas: int = 1
    max_replicas: int = 60
