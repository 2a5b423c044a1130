"""What the service says of itself: cumulative counters and gauges, each with the time of its own sample."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why a value could not be read."""

    ABSENT = "absent"
    STALE = "stale"
    IMPLAUSIBLE = "implausible"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Missing:
    """A value that could not be read. It is never a number, and never 0."""

    cause: Cause
    detail: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"


Reading = float | Missing
NOT_EXPORTED = Missing(Cause.ABSENT, "not exported")


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts of observations at or below each edge, in the order of `Signals.edges_s`; the last is +Inf."""

    counts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scrape:
    """One look at the whole service: sums over its pods at one time.

    Counters grow from an arbitrary start and never fall: whoever fills a scrape has already
    absorbed restarts of single pods. Names follow the metrics of `inference_server`.
    """

    at_s: float
    received: Reading
    """Requests that arrived, admitted or not (counter)."""
    completed: Reading = NOT_EXPORTED
    """Requests answered (counter)."""
    late: Reading = NOT_EXPORTED
    """Requests answered later than the objective (counter)."""
    left: Reading = NOT_EXPORTED
    """Requests that were rejected or gave up waiting (counter)."""
    service_s: Reading = NOT_EXPORTED
    """Seconds spent serving finished requests, without queueing: for each of a batch its whole time (counter)."""
    concurrency_s: Reading = NOT_EXPORTED
    """Integral over time of requests queued or in service (counter)."""
    busy_s: Reading = NOT_EXPORTED
    """Integral over time of the slots in use (counter). Below `service_s` where requests share a batch."""
    queued: Reading = NOT_EXPORTED
    """Requests waiting (gauge)."""
    in_flight: Reading = NOT_EXPORTED
    """Requests waiting or in service (gauge)."""
    busy: Reading = NOT_EXPORTED
    """Slots in use (gauge)."""
    oldest_wait_s: Reading = NOT_EXPORTED
    """Age of the oldest waiting request (gauge)."""
    gpu_use_ratio: Reading = NOT_EXPORTED
    """Share of time with work on the GPU, mean over the pods, 0 to 1 (gauge)."""
    service: Histogram | Missing = NOT_EXPORTED
    """Service times without queueing."""
    latency: Histogram | Missing = NOT_EXPORTED
    """Times from arrival to answer."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A signal that could not be read at this tick."""

    signal: str
    missing: Missing

    def __str__(self) -> str:
        return f"{self.signal} {self.missing}"


@dataclass(frozen=True, slots=True)
class Signals:
    """What was learned since the last tick."""

    scrapes: tuple[Scrape, ...]
    """Oldest first; empty when nothing new was scraped."""
    problems: tuple[Problem, ...] = ()
    """What should have been there and was not."""
    edges_s: tuple[float, ...] = ()
    """Upper edges of the histograms' buckets, without +Inf."""
    idle: tuple[str, ...] = ()
    """Draining pods that have held and received nothing over two samples since they left the Service; sorted."""
