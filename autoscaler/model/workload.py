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
class Batching:
    """Requests that a slot takes at once, without waiting for more; they are answered together.

    A batch of n takes `base_share + (1 - base_share) n` times as long as a request alone.
    """

    size: int = 1
    """The most that a batch holds; 1 is no batching."""
    base_share: float = 0.0
    """Part of the time of a request alone that a batch takes but once, 0 to 1."""

    def takes(self, requests: float) -> float:
        """Time of a batch, in those of a request alone."""
        return self.base_share + (1 - self.base_share) * requests

    @property
    def gain(self) -> float:
        """How many times as many requests full batches serve as single ones."""
        return self.size / self.takes(self.size)


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
    """Requests, or batches, that one pod serves at a time."""
    batching: Batching = Batching()
    routing: Routing = Routing.SHARED_QUEUE
    patience_s: float = math.inf
    """A request that has waited this long leaves."""
    min_replicas: int = 1
    max_replicas: int = 60
