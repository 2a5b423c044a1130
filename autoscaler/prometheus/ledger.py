"""From the raw samples of every pod to sums over the whole service.

Prometheus scrapes each pod at its own moment of the scrape interval. The sum of everyone's latest sample is an
estimate of the service at the *mean* of those samples' times, exact where the pods carry equal load, and unbiased
at any moment of the interval: when one pod of ten is read, a tenth of the increase arrives and the mean time moves
by a tenth of the interval. So no sample waits for the others, and differences of two sums are true rates.

Counters of single pods restart, appear and end; here each is differenced for itself and only its increases are
summed, so a sum never falls.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from statistics import fmean, median
from typing import NamedTuple

GRACE = 3.5
"""Scrape intervals for which a silent pod still counts as running: three scrapes may be lost."""
GONE_GRACE = 1.5
"""The same for a pod that is no longer part of the fleet."""
_INTERVAL_SERIES = 64
"""So many series are enough to measure the scrape interval."""


class Item(NamedTuple):
    """What is summed over the pods: a signal, or one bucket of it."""

    signal: str
    edge_s: float | None = None
    """Upper edge of the bucket; None where the signal is no histogram."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one series of one pod."""

    pod: str
    item: Item
    series: tuple[str, ...]
    """What tells this series from others of the same pod and item."""
    cumulative: bool
    points: tuple[tuple[float, float], ...]
    """Time in seconds since the epoch, value; oldest first."""


@dataclass(frozen=True, slots=True)
class Look:
    """The service at one moment."""

    at_s: float
    counters: Mapping[Item, float]
    """Sums of increases, since the ledger began. A counter that no running pod exports is not among them."""
    gauges: Mapping[Item, tuple[float, ...]]
    """Latest values of all series of running pods."""
    unseen: frozenset[Item] = frozenset()
    """Counters that began anew in a silence of the whole service: how fast they grew in it cannot be told."""


@dataclass(slots=True)
class _Last:
    at_s: float
    value: float


@dataclass(slots=True)
class _Return:
    """An increase over a time in which nobody saw the series."""

    item: Item
    increase: float
    silent_s: float


@dataclass(slots=True)
class Ledger:
    """The books of one target. Holds no clock and does no I/O; `take` is the only way in."""

    interval_s: float
    """Of the scrapes: a guess until it is measured."""
    since_s: float
    """Nothing before this was looked at."""
    looked_at_s: float = -math.inf
    """Time of the last look that was given out."""
    silent_s: float = 0.0
    """How long the service was silent before that look; 0 where scrapes follow each other."""
    totals: dict[Item, float] = field(default_factory=dict)
    heard_s: dict[str, float] = field(default_factory=dict)
    """Time of each pod's newest sample."""
    _scrape_before_s: dict[str, float] = field(default_factory=dict)
    """Time of each pod's newest samples but those."""
    _grown_s: dict[tuple[str, Item], float] = field(default_factory=dict)
    """Time of the newest sample at which a pod's counter had grown."""
    _counted_s: dict[Item, float] = field(default_factory=dict)
    """Time of the newest sample of each counter."""
    _last: dict[tuple[str, Item, tuple[str, ...]], _Last] = field(default_factory=dict)
    _gauges: dict[Item, dict[tuple[str, tuple[str, ...]], _Last]] = field(default_factory=dict)
    _returns: list[_Return] = field(default_factory=list)
    _unseen: set[Item] = field(default_factory=set)
    """Of the next look."""
    _silent_from_s: float = -math.inf
    """Time of the last look before the latest silence of the whole service."""

    def take(self, batch: Collection[Samples], born_s: Mapping[str, float], until_s: float) -> list[Look]:
        """Enter what was read and give the looks that follow from it, oldest first.

        Args:
            batch: samples; those that were entered before are passed over.
            born_s: for each pod of the fleet, when it began to take requests.
            until_s: now. Samples after it count as of now.

        Looks lie one scrape interval apart, the newest as new as the samples are, and each is later than the last.
        """
        self.interval_s = scrape_interval_s(batch) or self.interval_s
        batch = [_not_after(until_s, each) for each in batch]
        entries = sorted(
            (
                (at_s, value, samples)
                for samples in batch
                for at_s, value in samples.points
                if at_s > self._entered_s(samples)
            ),
            key=lambda entry: entry[0],
        )
        looks: list[Look] = []
        position = 0
        for moment_s in self._moments(entries[0][0] if entries else until_s, until_s):
            while position < len(entries) and entries[position][0] <= moment_s:
                self._enter(*entries[position], born_s, batch)
                position += 1
            if look := self._look(born_s, moment_s):
                looks.append(look)
        self._forget(born_s, until_s)
        return looks

    def running(self, pods: Collection[str], moment_s: float) -> list[str]:
        """Pods that were heard of lately: for one that left the fleet, silence means its end sooner."""
        return [
            pod
            for pod, heard_s in self.heard_s.items()
            if moment_s - heard_s <= self.interval_s * (GRACE if pod in pods else GONE_GRACE)
        ]

    def _moments(self, first_s: float, until_s: float) -> list[float]:
        """One scrape interval apart, the last one now."""
        count = math.ceil(max(0.0, until_s - max(first_s, self.since_s)) / self.interval_s) + 1
        return [until_s - back * self.interval_s for back in range(count - 1, -1, -1)]

    def _entered_s(self, samples: Samples) -> float:
        if samples.cumulative:
            last = self._last.get((samples.pod, samples.item, samples.series))
        else:
            last = self._gauges.get(samples.item, {}).get((samples.pod, samples.series))
        return last.at_s if last else -math.inf

    def _enter(
        self, at_s: float, value: float, samples: Samples, born_s: Mapping[str, float], batch: Collection[Samples]
    ) -> None:
        if samples.cumulative:
            self._count(at_s, value, samples, born_s, batch)
        else:
            gauges = self._gauges.setdefault(samples.item, {})
            gauges[samples.pod, samples.series] = _Last(at_s, value)
        heard_s = self.heard_s.get(samples.pod, -math.inf)
        if at_s > heard_s:
            self._scrape_before_s[samples.pod] = heard_s
            self.heard_s[samples.pod] = at_s

    def _count(
        self, at_s: float, value: float, samples: Samples, born_s: Mapping[str, float], batch: Collection[Samples]
    ) -> None:
        """The increase of one counter; a fall is a restart from 0."""
        key = (samples.pod, samples.item, samples.series)
        last = self._last.get(key) or self._before(at_s, samples, born_s, batch)
        self._last[key] = _Last(at_s, value)
        self._counted_s[samples.item] = at_s
        self.totals.setdefault(samples.item, 0.0)
        if last is None:
            return
        increase = value - last.value if value >= last.value else value
        if increase > 0:
            self._grown_s[samples.pod, samples.item] = at_s
        silent_s = at_s - last.at_s
        if silent_s > GRACE * self.interval_s:
            if value < last.value and self._all_fell_silent(last.at_s):
                self._unseen.add(samples.item)
            self._returns.append(_Return(samples.item, increase, silent_s))
        else:
            self.totals[samples.item] += increase

    def _all_fell_silent(self, at_s: float) -> bool:
        """Whether nothing at all was seen after a time: a silence that lasts, or the latest one."""
        return any(abs(at_s - last_s) <= self.interval_s for last_s in (self.looked_at_s, self._silent_from_s))

    def _before(
        self, at_s: float, samples: Samples, born_s: Mapping[str, float], batch: Collection[Samples]
    ) -> _Last | None:
        """Where a series began that was not there before; None where that cannot be known.

        A series that joins others of its pod began at 0 since the scrape before; one that takes their place goes on
        with what they had counted. The first series of a pod began at 0 with the pod, if the pod is younger than our
        looking; of an older one only increases can be told.
        """
        heard_s = self.heard_s.get(samples.pod, -math.inf)
        before_s = heard_s if heard_s < at_s else self._scrape_before_s[samples.pod]
        if before_s > -math.inf:
            return _Last(before_s, self._taken_over(at_s, before_s, samples, batch))
        began_s = born_s.get(samples.pod, -math.inf)
        return _Last(min(began_s, at_s), 0.0) if began_s > self.since_s else None

    def _taken_over(self, at_s: float, before_s: float, samples: Samples, batch: Collection[Samples]) -> float:
        """Its share of what a pod's series of an item had counted that all have others in their place.

        Whoever changes how series are labelled gives all of them other names at once. 0 where one of them goes on, or
        where they began anew, too.
        """
        whose = (samples.pod, samples.item)
        ended = {
            series: last.value
            for (*owner, series), last in self._last.items()
            if tuple(owner) == whose and before_s <= last.at_s < at_s
        }
        if not ended:
            return 0.0
        beside = (each for each in batch if (each.pod, each.item) == whose)
        there = [each for each in beside if each.points and each.points[-1][0] >= at_s]
        if any(each.series in ended for each in there):
            return 0.0
        values: dict[tuple[str, ...], float] = defaultdict(float)
        for each in there:  # of one series there are two where another scraper took over
            values[each.series] = max(values[each.series], dict(each.points).get(at_s, 0.0))
        counted, now = math.fsum(ended.values()), math.fsum(values.values())
        return counted * values[samples.series] / now if now >= counted > 0.0 else 0.0

    def still_since_s(self, pod: str, counter: Item, gauge: Item) -> float | None:
        """Time of a pod's newest sample but one, if a counter did not grow since and a gauge is now 0; else None."""
        since_s = self._scrape_before_s.get(pod, -math.inf)
        levels = [last.value for (name, _), last in self._gauges.get(gauge, {}).items() if name == pod]
        if since_s == -math.inf or not levels or any(levels):
            return None
        return since_s if self._grown_s.get((pod, counter), -math.inf) <= since_s else None

    def newest_s(self, item: Item) -> dict[str, float]:
        """For each pod the time of its newest sample of an item."""
        newest: dict[str, float] = {}
        for (pod, name, _), last in self._last.items():
            if name == item:
                newest[pod] = max(last.at_s, newest.get(pod, -math.inf))
        for (pod, _), last in self._gauges.get(item, {}).items():
            newest[pod] = max(last.at_s, newest.get(pod, -math.inf))
        return newest

    def _look(self, born_s: Mapping[str, float], moment_s: float) -> Look | None:
        """None while the samples have moved on by less than half an interval."""
        running = self.running(born_s, moment_s)
        if not running:
            return None
        at_s = fmean(self.heard_s[pod] for pod in running)
        if at_s < self.looked_at_s + self.interval_s / 2:
            return None
        since_s = at_s - self.looked_at_s
        self.silent_s = since_s if GRACE * self.interval_s < since_s < math.inf else 0.0
        if self.silent_s:
            self._silent_from_s = self.looked_at_s
        self._settle(since_s)
        self.looked_at_s = at_s
        unseen, self._unseen = frozenset(self._unseen), set()
        return Look(at_s, self._sums(running), self._values(set(running)), unseen)

    def _settle(self, since_last_look_s: float) -> None:
        """What came while a series was silent came evenly: only the share since the last look belongs here."""
        for back in self._returns:
            self.totals[back.item] += back.increase * min(1.0, since_last_look_s / back.silent_s)
        self._returns.clear()

    def _sums(self, running: list[str]) -> dict[Item, float]:
        oldest_s = min(self.heard_s[pod] for pod in running)
        return {item: total for item, total in self.totals.items() if self._counted_s[item] >= oldest_s}

    def _values(self, running: set[str]) -> dict[Item, tuple[float, ...]]:
        values = {}
        for item, series in self._gauges.items():
            latest = tuple(
                last.value
                for (pod, _), last in series.items()
                if pod in running and last.at_s >= self.heard_s[pod] - self.interval_s / 2
            )
            if latest:
                values[item] = latest
        return values

    def _forget(self, born_s: Mapping[str, float], until_s: float) -> None:
        """Pods that have left the fleet and fallen silent take no room."""
        running = set(self.running(born_s, until_s))
        ended = {pod for pod in self.heard_s if pod not in running and pod not in born_s}
        if not ended:
            return
        for times_s in (self.heard_s, self._scrape_before_s):
            for pod in ended:
                del times_s[pod]
        self._last = {key: last for key, last in self._last.items() if key[0] not in ended}
        self._grown_s = {key: at_s for key, at_s in self._grown_s.items() if key[0] not in ended}
        self._gauges = {
            item: {key: last for key, last in series.items() if key[0] not in ended}
            for item, series in self._gauges.items()
        }


def _not_after(until_s: float, samples: Samples) -> Samples:
    """Samples of a clock ahead of ours are of now."""
    if not samples.points or samples.points[-1][0] <= until_s:
        return samples
    return replace(samples, points=tuple((min(at_s, until_s), value) for at_s, value in samples.points))


def scrape_interval_s(batch: Iterable[Samples]) -> float | None:
    """Median distance of two samples of one series; None where no series has two."""
    several = (samples.points for samples in batch if len(samples.points) > 1)
    gaps = [
        later - earlier for points in islice(several, _INTERVAL_SERIES) for (earlier, _), (later, _) in pairwise(points)
    ]
    return median(gaps) if gaps else None
