"""What the recent scrapes say: averages over a window, last samples, quantiles.

A policy keeps a `Window` in its memory, adds what each tick brought, and reads `Windowed` signals from it.
A value that cannot be read is `Missing`, never 0.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from operator import attrgetter
from typing import cast

from autoscaler.model import Cause, Histogram, InvalidInput, Missing, Reading, Scrape, Signals

JITTER_S = 0.5
"""Samples that come this much early or late still count as being in the window."""


class Signal(StrEnum):
    """What can be read over a window."""

    RATE = "rate"
    """Requests received per second."""
    COMPLETED_RATE = "completed-rate"
    """Requests answered per second."""
    BUSY = "busy"
    """Mean number of busy pods: seconds of service finished per second."""
    CONCURRENCY = "concurrency"
    """Mean number of requests waiting or in service."""
    QUEUE = "queue"
    """Requests waiting, mean over the samples."""
    IN_FLIGHT = "in-flight"
    """Requests waiting or in service, mean over the samples."""
    SLOTS = "slots"
    """Slots in use, mean over the samples."""
    GPU = "gpu"
    """Share of time with work on the GPU, 0 to 1, mean over pods and samples."""
    LATENCY_P99 = "latency-p99"
    """99 % quantile of the time from arrival to answer, in seconds."""

    @property
    def is_mean(self) -> bool:
        """A figure that does not add up over the pods."""
        return self in {Signal.GPU, Signal.LATENCY_P99}


_COUNTERS = {
    Signal.RATE: attrgetter("received"),
    Signal.COMPLETED_RATE: attrgetter("completed"),
    Signal.BUSY: attrgetter("service_s"),
    Signal.CONCURRENCY: attrgetter("concurrency_s"),
}
_GAUGES = {
    Signal.QUEUE: attrgetter("queued"),
    Signal.IN_FLIGHT: attrgetter("in_flight"),
    Signal.SLOTS: attrgetter("busy"),
    Signal.GPU: attrgetter("gpu_use_ratio"),
}
_AT_S = attrgetter("at_s")


@dataclass(frozen=True, slots=True)
class Window:
    """The scrapes of the last `keep_s` seconds, oldest first."""

    keep_s: float
    scrapes: tuple[Scrape, ...] = ()
    edges_s: tuple[float, ...] = ()

    def add(self, signals: Signals) -> Window:
        """The window after a tick. Scrapes that are not newer than the newest are dropped."""
        new = signals.scrapes
        if not new:
            return self
        if self.scrapes and new[0].at_s <= self.scrapes[-1].at_s:
            newest_s = self.scrapes[-1].at_s
            new = tuple(scrape for scrape in new if scrape.at_s > newest_s)
            if not new:
                return self
        scrapes = self.scrapes + new
        # One scrape from before the window stays: with sparse scrapes it is the only base there is.
        oldest_s = scrapes[-1].at_s - self.keep_s - JITTER_S
        first = bisect_left(scrapes, oldest_s, key=_AT_S)
        return Window(self.keep_s, scrapes[max(0, first - 1) :], signals.edges_s or self.edges_s)

    @property
    def comparable(self) -> bool:
        """Two scrapes have been seen: counters have an increase."""
        return len(self.scrapes) > 1


@dataclass(frozen=True, slots=True)
class Windowed:
    """One signal over one window.

    Counters: increase between the newest scrape and the one nearest to the window's begin, over the time between
    them; at least the last interval. Gauges: mean of the samples in the window. The window ends at the newest scrape.
    """

    signal: Signal
    window_s: float = 0.0
    """0: since the scrape before for counters, the last sample for gauges."""
    factor: float = 1.0
    """The reading is multiplied by this (a rate by the mean service time gives busy pods)."""
    stale_s: float = 60.0
    """A newest scrape older than this says nothing about now."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.window_s <= 86_400.0:
            raise InvalidInput(f"window of {self.signal}: {self.window_s:g} s — from 0 to 86400 s")
        if not (self.factor > 0.0 and self.stale_s > 0.0):
            raise InvalidInput(f"{self.signal}: factor {self.factor:g}, stale after {self.stale_s:g} s — above 0")

    def read(self, window: Window, now_s: float) -> Reading:
        """The value as known at `now_s`."""
        scrapes = window.scrapes
        if not scrapes:
            return Missing(Cause.ABSENT, "nothing was scraped yet")
        newest = scrapes[-1]
        if now_s - newest.at_s > self.stale_s:
            return Missing(Cause.STALE, f"last scraped {now_s - newest.at_s:.0f} s ago")
        gauge = _GAUGES.get(self.signal)
        if gauge is not None:
            first = bisect_left(scrapes, newest.at_s - self.window_s - JITTER_S, key=_AT_S)
            return _scaled(_mean(tuple(map(gauge, scrapes[first:]))), self.factor)
        if len(scrapes) == 1:
            return Missing(Cause.ABSENT, "scraped only once so far")
        return self._between(_base(scrapes, newest.at_s - self.window_s), newest, window.edges_s)

    def _between(self, base: Scrape, newest: Scrape, edges_s: tuple[float, ...]) -> Reading:
        seconds = newest.at_s - base.at_s
        if seconds > self.window_s + self.stale_s:
            return Missing(Cause.STALE, f"not scraped for {seconds:.0f} s before the last time")
        counter = _COUNTERS.get(self.signal)
        if counter is None:
            return _scaled(_quantile_between(base, newest, edges_s), self.factor)
        return _slope(counter(base), counter(newest), seconds, self.factor)


def mean_rates(signal: Signal, window: Window, window_s: float) -> tuple[tuple[float, float, float], ...] | Missing:
    """A counter's rate between each two scrapes of the window.

    Returns:
        Seconds before the newest scrape at which the interval begins and ends, and the mean rate in it; newest
        first. Missing if any scrape of the window lacks the counter.
    """
    counter, newest_s = _COUNTERS[signal], window.scrapes[-1].at_s
    rates = []
    for after, before in pairwise(reversed(window.scrapes)):
        rate = _slope(counter(before), counter(after), after.at_s - before.at_s, 1.0)
        if isinstance(rate, Missing):
            return rate
        rates.append((min(newest_s - before.at_s, window_s), newest_s - after.at_s, rate))
        if newest_s - before.at_s >= window_s:
            break
    return tuple(rates)


def longest_s(readings: Sequence[Windowed]) -> float:
    """How long scrapes must be kept for all these readings."""
    return max((reading.window_s for reading in readings), default=0.0)


def histogram_quantile(quantile: float, edges_s: Sequence[float], counts: Sequence[float]) -> Reading:
    """The quantile of cumulative counts, interpolated within its bucket as PromQL does.

    Args:
        quantile: 0 to 1.
        edges_s: upper edges, ascending, without +Inf.
        counts: observations at or below each edge; the last one is +Inf. One longer than `edges_s`.

    Returns:
        Seconds; the highest edge where the quantile lies above it; Missing without observations.
        Source: prometheus/promql/quantile.go, classic histograms.
    """
    if len(counts) != len(edges_s) + 1 or not edges_s:
        return Missing(Cause.IMPLAUSIBLE, f"{len(counts)} buckets for {len(edges_s)} edges")
    total = counts[-1]
    if total <= 0.0:
        return Missing(Cause.ABSENT, "no observation in the window")
    rank = quantile * total
    bucket = bisect_left(counts, rank)
    if bucket >= len(edges_s):
        return edges_s[-1]
    if bucket == 0 and edges_s[0] <= 0.0:
        return edges_s[0]
    low_s, below = (edges_s[bucket - 1], counts[bucket - 1]) if bucket else (0.0, 0.0)
    inside = counts[bucket] - below
    return low_s + (edges_s[bucket] - low_s) * (rank - below) / inside if inside > 0.0 else edges_s[bucket]


def _base(scrapes: tuple[Scrape, ...], begin_s: float) -> Scrape:
    """The scrape nearest to a time, of two equally near ones the older; never the newest."""
    after = min(bisect_left(scrapes, begin_s, key=_AT_S), len(scrapes) - 2)
    before = max(after - 1, 0)
    return scrapes[before if begin_s - scrapes[before].at_s <= scrapes[after].at_s - begin_s else after]


def _slope(before: Reading, after: Reading, seconds: float, factor: float) -> Reading:
    if isinstance(after, Missing):
        return after
    if isinstance(before, Missing):
        return before
    increase = after - before
    if not 0.0 <= increase < math.inf:
        return Missing(Cause.IMPLAUSIBLE, f"a counter went from {before:g} to {after:g}")
    return increase / seconds * factor


def _mean(samples: tuple[Reading, ...]) -> Reading:
    if Missing in set(map(type, samples)):
        return next(sample for sample in samples if isinstance(sample, Missing))
    mean = sum(cast("tuple[float, ...]", samples)) / len(samples)
    return mean if 0.0 <= mean < math.inf else Missing(Cause.IMPLAUSIBLE, f"a gauge says {mean:g}")


def _scaled(reading: Reading, factor: float) -> Reading:
    return reading if isinstance(reading, Missing) else reading * factor


def _quantile_between(base: Scrape, newest: Scrape, edges_s: tuple[float, ...]) -> Reading:
    before, after = base.latency, newest.latency
    if not isinstance(after, Histogram):
        return after
    if not isinstance(before, Histogram):
        return before
    increase = [b - a for a, b in zip(before.counts, after.counts, strict=False)]
    if len(before.counts) != len(after.counts) or min(increase, default=0.0) < 0.0:
        return Missing(Cause.IMPLAUSIBLE, "the latency histogram fell or changed its buckets")
    return histogram_quantile(0.99, edges_s, increase)
