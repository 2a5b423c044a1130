"""The load of the past, in intervals of equal length.

Counts of requests are kept, not loads: the mean service time changes, and with it the whole past's load.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from autoscaler.model import History

Floats = npt.NDArray[np.floating]

KEPT_S = 28 * 86400
"""Four weeks, in 4.4 MB: of two, a weekly rhythm shows once beside the present one, and cost 11 % more on a
record of a growing service (docs/predictive.md)."""
SHORT = 3
"""Intervals of the short mean, whose extremes are what pods must meet: 15 s at 5 s."""


class LoadSeries:
    """Requests in each finished interval, as their running sum, and whether they were measured.

    It grows in place (a policy's memory owns exactly one) and forgets what is older than `KEPT_S`.

    Attributes:
        interval_s: length of an interval.
        start_s: clock time at which the first kept interval began.
    """

    __slots__ = ("_capacity", "_known", "_sums", "_used", "interval_s", "start_s")

    def __init__(self, interval_s: float, start_s: float, kept_s: float = KEPT_S) -> None:
        self.interval_s = interval_s
        self.start_s = start_s
        self._capacity = math.ceil(kept_s / interval_s)
        self._allocate(min(1024, self._capacity))
        self._used = 0

    def _allocate(self, room: int) -> None:
        self._known = np.zeros(room, dtype=np.bool_)
        self._sums: Floats = np.zeros(room + 1)

    def __len__(self) -> int:
        return self._used

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether an interval was measured, or filled by a guess; shape (intervals,)."""
        return self._known[: self._used]

    def short(self, first: int = 0, end: int | None = None) -> npt.NDArray[np.float32]:
        """Mean requests an interval over the last three up to each one in [first, end); spans are clipped.

        Worked out anew: kept, they would be a third of a series.
        """
        first, end = max(first, 0), self._used if end is None else min(end, self._used)
        if end <= first:
            return np.zeros(0, dtype=np.float32)
        means = np.empty(end - first, dtype=np.float32)
        whole = min(max(first, SHORT - 1), end)  # from here on there are three
        sums = self._sums
        means[whole - first :] = (sums[whole + 1 : end + 1] - sums[whole + 1 - SHORT : end + 1 - SHORT]) / SHORT
        for at in range(first, whole):
            means[at - first] = sums[at + 1] / (at + 1)
        return means

    @property
    def now(self) -> float:
        """The last of these means; 0 before the first interval."""
        return float(self.short(self._used - 1)[-1]) if self._used else 0.0

    @property
    def sums(self) -> Floats:
        """Requests before each interval, and in all; shape (intervals + 1,)."""
        return self._sums[: self._used + 1]

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
        return self.start_s + self._used * self.interval_s

    def append(self, counts: npt.ArrayLike, *, known: bool | npt.NDArray[np.bool_] = True) -> None:
        """Add finished intervals, oldest first; `known` for all of them, or for each."""
        new = np.atleast_1d(np.asarray(counts, dtype=np.float64))[-self._capacity :]
        self._make_room(len(new))
        first, end = self._used, self._used + len(new)
        self._known[first:end] = known if isinstance(known, bool) else known[-len(new) :]
        self._sums[first + 1 : end + 1] = self._sums[first] + np.cumsum(new)
        self._used = end

    def add(self, count: float, *, known: bool = True) -> None:
        """Add one finished interval: `append` of a single one, at a tenth of its time."""
        self._make_room(1)
        end = self._used = self._used + 1
        self._known[end - 1] = known
        self._sums[end] = self._sums[end - 1] + count

    def _make_room(self, more: int) -> None:
        """A quarter more space up to the limit; at the limit drop the oldest tenth, so that it is seldom done."""
        if self._used + more <= len(self._known):
            return
        full = self._used + more > self._capacity
        keep = min(self._used, self._capacity - max(more, self._capacity // 10)) if full else self._used
        dropped = self._used - keep
        known, sums = self.known[dropped:].copy(), self.sums[dropped:].copy()
        self._allocate(min(self._capacity, max(len(self._known) * 5 // 4, keep + more)))
        self._known[:keep] = known
        self._sums[: keep + 1] = sums - sums[0]
        self.start_s += dropped * self.interval_s
        self._used = keep

    def copy(self) -> LoadSeries:
        """A series of its own, for a job beside the tick."""
        twin = LoadSeries(self.interval_s, self.start_s)
        twin._capacity = self._capacity
        twin._known, twin._sums = self.known.copy(), self.sums.copy()
        twin._used = self._used
        return twin

    def mean(self, first: npt.NDArray[np.intp], end: npt.NDArray[np.intp]) -> Floats:
        """Mean requests an interval in [first, end) of each pair; spans are clipped, empty ones give 0."""
        first, end = (np.minimum(np.maximum(edge, 0), self._used) for edge in (first, end))
        sums = self._sums
        return np.asarray((sums[end] - sums[first]) / np.maximum(end - first, 1))


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
