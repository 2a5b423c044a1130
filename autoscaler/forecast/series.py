"""The load of the past, in intervals of equal length.

Counts of requests are kept, not loads: the mean service time changes, and with it the whole past's load.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.sealed import BLOCK, NOTHING, Sealed
from autoscaler.model import History

Floats = npt.NDArray[np.floating]

KEPT_S = 28 * 86400
"""Four weeks: of two, a weekly rhythm shows once beside the present one, and cost 11 % more on a record of a growing
service."""
SHORT = 3
"""Intervals of the short mean, whose extremes are what pods must meet: 15 s at 5 s."""
OPEN_S = 86400.0
"""What every tick looks at as a whole is kept at hand; what is older is sealed."""
SEALED_AT_ONCE = 16 * BLOCK


class LoadSeries:
    """Requests in each finished interval, as their running sum, and whether they were measured.

    It grows in place (a policy's memory owns exactly one) and forgets what is older than `KEPT_S`. Four weeks at 5 s
    take 1.2 MB.

    Attributes:
        interval_s: length of an interval.
        start_s: clock time at which the first kept interval began.
    """

    __slots__ = ("_capacity", "_known", "_peak", "_sealed", "_short", "_sums", "_used", "interval_s", "start_s")

    def __init__(self, interval_s: float, start_s: float, kept_s: float = KEPT_S) -> None:
        self.interval_s = interval_s
        self.start_s = start_s
        self._capacity = math.ceil(kept_s / interval_s)
        self._sealed = NOTHING
        self._allocate(min(1024, self._capacity))
        self._used = 0
        self._peak = -1

    def _allocate(self, room: int) -> None:
        """Space for intervals that are not sealed: `_used` of it is in use."""
        self._known = np.zeros(room, dtype=np.bool_)
        self._sums: npt.NDArray[np.float64] = np.zeros(room + 1)
        self._short: npt.NDArray[np.float32] = np.zeros(room, dtype=np.float32)

    def __len__(self) -> int:
        return len(self._sealed) + self._used

    @property
    def at_hand(self) -> int:
        """The first interval that is not sealed."""
        return len(self._sealed)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether each interval was measured, or filled by a guess, as a copy; shape (intervals,)."""
        return np.concatenate([self._sealed.known, self._known[: self._used]])

    def short(self, first: int = 0, end: int | None = None) -> npt.NDArray[np.float32]:
        """Mean requests an interval over the last three up to each one in [first, end); spans are clipped.

        Not to be changed. Those at hand are kept; for a whole series they would be a third of it, so that what is
        sealed is worked out anew.
        """
        first, end = max(first, 0), len(self) if end is None else min(end, len(self))
        at_hand = len(self._sealed)
        if first >= at_hand:
            return self._short[first - at_hand : max(end - at_hand, 0)]
        if end <= at_hand:
            return self._means(first, end)
        return np.concatenate([self._means(first, at_hand), self._short[: end - at_hand]])

    def _means(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """The same, from the sums."""
        if end <= first:
            return np.zeros(0, dtype=np.float32)
        means = np.empty(end - first, dtype=np.float32)
        whole = min(max(first, SHORT - 1), end)  # from here on there are three
        begin = max(first + 1 - SHORT, 0)
        sums = self._between(begin, end + 1)
        means[whole - first :] = (sums[whole + 1 - begin :] - sums[whole + 1 - SHORT - begin : -SHORT]) / SHORT
        for at in range(first, whole):
            means[at - first] = sums[at + 1] / (at + 1)
        return means

    def _between(self, first: int, end: int) -> Floats:
        """Sums before the intervals in [first, end); the last may be the sum of all. Not to be changed."""
        sealed = len(self._sealed)
        if first >= sealed:
            return self._sums[first - sealed : end - sealed]
        if end <= sealed:
            return self._sealed.sums(first, end)
        return np.concatenate([self._sealed.sums(first, sealed), self._sums[: end - sealed]])

    @property
    def now(self) -> float:
        """The last of these means; 0 before the first interval."""
        return float(self._short[self._used - 1]) if self._used else 0.0

    @property
    def day_peak(self) -> float:
        """The largest of the last day, of at least one interval; only where that has gone is the day looked through."""
        first = max(self._used - max(1, round(OPEN_S / self.interval_s)), 0)
        if self._peak < first:
            self._peak = first + int(self._short[first : self._used].argmax())
        return float(self._short[self._peak])

    @property
    def sums(self) -> Floats:
        """Requests before each interval, and in all; shape (intervals + 1,)."""
        return self._between(0, len(self) + 1)

    @property
    def counts(self) -> Floats:
        """Requests in each interval; shape (intervals,)."""
        return np.diff(self.sums)

    @property
    def last(self) -> float:
        """Requests in the last interval; 0 before the first."""
        return float(self._sums[self._used] - self._sums[self._used - 1]) if self._used else 0.0

    @property
    def end_s(self) -> float:
        """Clock time at which the last finished interval ended."""
        return self.start_s + len(self) * self.interval_s

    def append(self, counts: npt.ArrayLike, *, known: bool | npt.NDArray[np.bool_] = True) -> None:
        """Add finished intervals, oldest first; `known` for all of them, or for each."""
        new = np.atleast_1d(np.asarray(counts, dtype=np.float64))[-self._capacity :]
        self._make_room(len(new))
        first, end = self._used, self._used + len(new)
        self._known[first:end] = known if isinstance(known, bool) else known[-len(new) :]
        self._sums[first + 1 : end + 1] = self._sums[first] + np.cumsum(new)
        self._used = end
        self._short[first:end] = self._means(len(self) - len(new), len(self))
        self._peak = -1
        self._seal()

    def add(self, count: float, *, known: bool = True) -> None:
        """Add one finished interval: `append` of a single one, at a tenth of its time."""
        self._make_room(1)
        end = self._used = self._used + 1
        self._known[end - 1] = known
        self._sums[end] = self._sums[end - 1] + count
        if end >= SHORT:
            self._short[end - 1] = (self._sums[end] - self._sums[end - SHORT]) / SHORT
        else:
            self._short[end - 1 : end] = self._means(len(self) - 1, len(self))
        if self._peak >= 0 and self._short[end - 1] >= self._short[self._peak]:
            self._peak = end - 1

    def _make_room(self, more: int) -> None:
        """Seal what is old, else take a quarter more space. At the limit the oldest tenth goes: it is seldom done."""
        if self._used + more <= len(self._known) and len(self) + more <= self._capacity:
            return
        if len(self) + more > self._capacity:
            self._drop(len(self) - min(len(self), self._capacity - max(more, self._capacity // 10)))
        self._seal()
        if self._used + more > len(self._known):
            self._move(self._used, max(len(self._known) * 5 // 4, self._used + more))

    def _drop(self, oldest: int) -> None:
        """Forget so many intervals; the sums begin with 0 again."""
        known, sums = self.known[oldest:], self.sums[oldest:]
        self._sealed = NOTHING
        self._known, self._sums, self._used = known, sums - sums[0], len(known)
        self._short, self._peak = self._means(0, len(known)), -1
        self.start_s += oldest * self.interval_s

    def _seal(self) -> None:
        """Seal all but the last day, and leave room for what comes until this is worth doing again."""
        at_hand = round(OPEN_S / self.interval_s)
        old = (self._used - at_hand) // SEALED_AT_ONCE * SEALED_AT_ONCE
        if old > 0:
            self._sealed = self._sealed.then(Sealed.of(self._sums[:old], self._known[:old]))
            self._move(self._used - old, at_hand + SEALED_AT_ONCE)

    def _move(self, last: int, room: int) -> None:
        """Take the last intervals that are not sealed to new space."""
        kept = slice(self._used - last, self._used)
        known, short, sums = self._known[kept], self._short[kept], self._sums[kept.start : kept.stop + 1]
        self._allocate(room)
        self._known[:last], self._short[:last], self._sums[: last + 1] = known, short, sums
        self._used, self._peak = last, -1

    def copy(self) -> LoadSeries:
        """A series of its own, for a job beside the tick; both have what is sealed."""
        twin = LoadSeries(self.interval_s, self.start_s)
        twin._capacity, twin._sealed = self._capacity, self._sealed
        twin._known, twin._short = self._known[: self._used].copy(), self._short[: self._used].copy()
        twin._sums = self._sums[: self._used + 1].copy()
        twin._used = self._used
        return twin

    def mean(self, first: npt.NDArray[np.intp], end: npt.NDArray[np.intp]) -> Floats:
        """Mean requests an interval in [first, end) of each pair; spans are clipped, empty ones give 0."""
        edges, pairs = np.minimum(np.maximum(np.concatenate([first, end]), 0), len(self)), len(first)
        sums = self._at(edges)
        return np.asarray((sums[pairs:] - sums[:pairs]) / np.maximum(edges[pairs:] - edges[:pairs], 1))

    def _at(self, places: npt.NDArray[np.intp]) -> Floats:
        """Sums before single intervals; shape as `places`."""
        sealed = len(self._sealed)
        if places.size > sealed:  # of more than there are, all are sought at once
            return self.sums.take(places)
        found = self._sums.take(places - sealed, mode="clip")
        old = places < sealed
        found[old] = self._sealed.at(places[old])
        return found


def spread(
    counts: npt.NDArray[np.floating | np.integer], bin_s: float, interval_s: float, random: np.random.Generator
) -> Floats:
    """Counts of a history's bins as counts of intervals; shape (whole intervals,).

    What is known of a bin is its total: its requests fall at random places, so that the intervals have the noise that
    they will have, and the bin has none. (A Poisson draw for each interval, as in C.2, makes a past that is noisier
    than the present: levels and times of bins of ten seconds twice as much.)
    """
    edges_s = np.arange(len(counts) + 1) * bin_s
    ends_s = np.arange(int(edges_s[-1] // interval_s) + 1) * interval_s
    if bin_s <= interval_s:
        return np.asarray(np.diff(np.interp(ends_s, edges_s, np.concatenate([[0.0], np.cumsum(counts)]))))
    cuts_s = np.unique(np.round(np.concatenate([edges_s, ends_s]), 6))
    middle_s, span_s = (cuts_s[1:] + cuts_s[:-1]) / 2, np.diff(cuts_s)
    where, when = (middle_s / bin_s).astype(np.intp), (middle_s / interval_s).astype(np.intp)
    place = np.arange(len(where)) - np.searchsorted(where, where)
    left, left_s = np.floor(counts + random.random(len(counts))), np.full(len(counts), float(bin_s))
    drawn = np.zeros(len(where))
    for turn in range(int(place.max(initial=-1)) + 1):  # the n-th piece of every bin, given what the others took
        pieces = np.flatnonzero(place == turn)
        bins = where[pieces]
        share = np.minimum(span_s[pieces] / left_s[bins], 1.0)
        drawn[pieces] = random.binomial(left[bins].astype(np.int64), share)
        left[bins] -= drawn[pieces]
        left_s[bins] = np.maximum(left_s[bins] - span_s[pieces], 1e-9)
    return np.bincount(when, drawn, len(ends_s))[: len(ends_s) - 1].astype(float)


def spread_known(history: History, interval_s: float) -> npt.NDArray[np.bool_]:
    """Whether each interval of a history was measured: as the bin that its middle lies in; shape (intervals,)."""
    count = int(len(history.counts) * history.bin_s // interval_s)
    if history.known is None:
        return np.ones(count, dtype=np.bool_)
    return history.known[((np.arange(count) + 0.5) * interval_s / history.bin_s).astype(np.intp)]
