"""What a forecast may look at: levels, extremes, the same time earlier, the clock.

Every feature is known at its row: row k sees the intervals before k and nothing else. Batch rows (a refit) and
the single row of a tick go through the same code. Definitions: research note "algorithm", C.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import log_ratio
from autoscaler.forecast.series import LoadSeries

Floats = npt.NDArray[np.floating]
Rows = npt.NDArray[np.intp]

LEVEL_S = 60.0
"""Memory of the present level P."""
DAY_S = 86400.0
MEANS_S = (5.0, 10.0, 30.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, DAY_S)
PEAKS_S = (60.0, 300.0, 900.0, 3600.0, 21600.0, DAY_S)
LOWS_S = (60.0, 300.0, 1800.0)
FAR_S = (DAY_S, 7 * DAY_S)
"""Periods that people keep by their clocks."""
PERIODS_S = (60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, *FAR_S)
ORIGINS_S = np.array([0.0, *FAR_S])
"""Before a row: what spans are counted from."""
CLOCKS_S = np.array([60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, DAY_S])
LONGEST_SILENCE_S = 1e6
ROWS_AT_ONCE = 4096
"""A dozen intermediate results of all rows of a history would be sixty megabytes."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """Largest or smallest short mean among `span` intervals that end `end` intervals after the row (never above 0)."""

    end: int
    span: int
    kind: np.ufunc
    far: int = 0
    """Counted from the row (0), or from its local time of day one of `FAR_S` before (1, 2)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which features there are, as spans relative to a row; a model is bound to the layout of its fit.

    Attributes:
        interval_s: length of an interval.
        first, end: spans whose mean load is a feature, and behind them those just before the same time one long period
            earlier; shape (means + long periods,).
        far: what each of them is counted from, as in `Extreme`.
        then: which of the means is compared with each of those just before; shape (long periods,).
        extremes: peaks and lows.
    """

    interval_s: float
    first: Rows
    end: Rows
    far: Rows
    then: Rows
    extremes: tuple[Extreme, ...]

    @property
    def means(self) -> int:
        """How many means are features."""
        return len(self.first) - len(self.then)

    @property
    def columns(self) -> int:
        """Number of features."""
        return len(self.first) + len(self.extremes) + 1 + len(CLOCKS_S) + 2


def layout(series: LoadSeries, lead: int, extra_periods_s: tuple[float, ...] = ()) -> Layout:
    """The features that a history of this length supports, for a typical lead time in intervals.

    What came one period earlier is taken at the time when a pod ordered now would begin to serve; a day or a week
    earlier by the local clock, which summer time may have moved since.
    """
    known_s = len(series) * series.interval_s

    def intervals(span_s: float) -> int:
        return max(1, round(span_s / series.interval_s))

    means = [(-intervals(span), 0) for span in MEANS_S]
    extremes = [Extreme(0, intervals(span), np.maximum) for span in PEAKS_S]
    extremes += [Extreme(0, intervals(span), np.minimum) for span in LOWS_S]
    before, then = [], []
    far, before_far = [0] * len(means), []
    for period_s in (*PERIODS_S, *extra_periods_s):
        if known_s < period_s + 60.0 or period_s <= series.interval_s:
            continue
        start = lead - intervals(period_s)
        then_end = start + 4
        origin = FAR_S.index(period_s) + 1 if period_s in FAR_S else 0
        far.append(origin)
        means.append((min(start, 0), min(then_end, 0)))
        if period_s >= 300:
            reach = intervals(30.0 if period_s < DAY_S else 300.0)
            extremes.append(Extreme(min(then_end + reach + 1, 0), 2 * reach + 1, np.maximum, origin))
        if period_s >= 3600:
            then.append(len(means) - 1)
            far.append(origin)
            before_far.append(origin)
            before.append((-intervals(period_s) - intervals(60.0), -intervals(period_s)))
            means.append((min(start, 0), min(start + intervals(600.0), 0)))
    first, end = np.array([*means, *before]).T
    return Layout(
        series.interval_s,
        np.ascontiguousarray(first),
        np.ascontiguousarray(end),
        np.array([*far, *before_far], dtype=np.intp),
        np.array(then, dtype=np.intp),
        tuple(extremes),
    )


@dataclass(frozen=True, slots=True)
class Past:
    """What the rows know.

    Attributes:
        series: the counts; rows are indices into it.
        slots_per_request: load of one request an interval, in busy slots.
        level: present load P before each row; shape (rows,).
        daily: average load over a day before each row; shape (rows,).
        silence_s: since the load was last high, before each row; shape (rows,).
    """

    series: LoadSeries
    slots_per_request: float
    level: Floats
    daily: Floats
    silence_s: Floats

    def of(self, part: slice) -> Past:
        """What some of the rows know."""
        return Past(self.series, self.slots_per_request, self.level[part], self.daily[part], self.silence_s[part])

    def mean(self, first: Rows, end: Rows) -> Floats:
        """Mean load in [first, end) of each row."""
        return self.series.mean(first, end) * self.slots_per_request


def past(series: LoadSeries, rows: Rows, slots_per_request: float) -> Past:
    """The past of many rows, by one pass over the whole series."""
    load = series.counts * slots_per_request
    return Past(
        series,
        slots_per_request,
        level=averages(load, series.interval_s, LEVEL_S)[rows],
        daily=averages(load, series.interval_s, DAY_S)[rows],
        silence_s=_silences(series, slots_per_request)[rows],
    )


def averages(load: Floats, interval_s: float, memory_s: float) -> Floats:
    """Exponential average before each interval and after the last, free of the start's bias; shape (intervals + 1,).

    0 before the first interval.
    """
    keep = float(np.exp(-interval_s / memory_s))
    # scipy.signal's filter gives the same numbers; it takes fifty megabytes that nothing else here needs at a tick.
    # As many numbers as Python objects would be sixteen megabytes in two weeks.
    parts = ((1 - keep) * load[first : first + ROWS_AT_ONCE] for first in range(0, len(load), ROWS_AT_ONCE))
    new = chain.from_iterable(part.tolist() for part in parts)
    smooth = np.fromiter(accumulate(new, lambda past, new: keep * past + new), float, len(load))
    weight = 1 - keep ** np.arange(1, len(load) + 1)
    return np.concatenate([[0.0], smooth / weight])


def is_high(series: LoadSeries, slots_per_request: float) -> bool:
    """Whether the last short mean is above half of the day's largest, or of one slot where that is more."""
    return len(series) > 0 and bool(series.now > np.float32(0.5 * max(1.0 / slots_per_request, series.day_peak)))


def _silences(series: LoadSeries, slots_per_request: float) -> Floats:
    """Seconds since the short mean was last high, before each interval and after the last; shape (intervals + 1,)."""
    if not len(series):
        return np.array([LONGEST_SILENCE_S])
    short = series.short()
    day = np.maximum(_running(short, max(1, round(DAY_S / series.interval_s)), np.maximum), 1 / slots_per_request)
    here = np.arange(len(series))
    last = np.maximum.accumulate(np.where(short > 0.5 * day, here, -np.inf))
    since = (here - last) * series.interval_s
    return np.asarray(np.minimum(np.concatenate([[LONGEST_SILENCE_S], since]), LONGEST_SILENCE_S))


def features(past: Past, rows: Rows, plan: Layout, local_s: Callable[[Floats], Floats]) -> npt.NDArray[np.float32]:
    """One line of features for each row; shape (rows, features).

    In single precision, which is what trees compare.

    Args:
        past: everything before the rows.
        rows: indices of the first interval that is not known yet.
        plan: which features.
        local_s: clock times (seconds since the epoch) to local time, for the time of day.
    """
    clock_s = past.series.start_s + rows * plan.interval_s
    then_s = clock_s[:, None] - ORIGINS_S
    offset_s = local_s(then_s.ravel()).reshape(then_s.shape) - then_s
    # Where spans are counted from: the row, and the rows a day and a week after the same local time before.
    origins = rows[:, None] + np.round((offset_s[:, :1] - offset_s) / plan.interval_s).astype(np.intp)
    peaks = extremes(past.series, origins, plan.extremes)
    now_s = clock_s + offset_s[:, 0]

    found = np.empty((len(rows), plan.columns), dtype=np.float32)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        _fill(found[part], past.of(part), plan, _loads(past, origins[part], plan, peaks[part]), now_s[part])
    return found


def _fill(found: npt.NDArray[np.float32], past: Past, plan: Layout, loads: Floats, now_s: Floats) -> None:
    """Write the features of some rows, from their loads and local times."""
    ratios = log_ratio(loads, past.level[:, None])
    known = plan.means + len(plan.extremes)
    clocks = found.shape[1] - 2 - len(CLOCKS_S)
    found[:, :known] = ratios[:, :known]
    found[:, known] = log_ratio(past.level, past.daily)
    found[:, known + 1 : clocks] = ratios.take(plan.then, axis=1) - ratios[:, known:]
    found[:, clocks:-2] = now_s[:, None] % CLOCKS_S
    found[:, -2] = np.floor(now_s / DAY_S) % 7
    found[:, -1] = np.log1p(past.silence_s)


def _loads(past: Past, origins: Rows, plan: Layout, peaks: Floats) -> Floats:
    """Means, extremes, and means just before the same time one period earlier; shape (rows, all of them)."""
    there, means = origins.take(plan.far, axis=1), plan.means
    spans = past.mean(there + plan.first, np.minimum(there + plan.end, origins[:, :1]))
    return np.concatenate([spans[:, :means], peaks * past.slots_per_request, spans[:, means:]], axis=1)


def extremes(series: LoadSeries, origins: Rows, wanted: Sequence[Extreme]) -> npt.NDArray[np.float32]:
    """Extremes of some rows, 0 where nothing is known; shape (rows, wanted).

    Args:
        series: everything before the rows.
        origins: what spans are counted from, by `Extreme.far`; shape (rows, origins).
        wanted: which extremes.
    """
    if len(origins) == 1:
        return np.array([_extremes_of_one(series, origins[0].tolist(), wanted)], dtype=np.float32)
    return np.column_stack([_extreme(series, origins[:, each.far], each) for each in wanted])


def _extremes_of_one(series: LoadSeries, origins: list[int], wanted: Sequence[Extreme]) -> list[float]:
    """The same for one row, as a tick has it: nearly all of its spans are at hand."""
    at_hand = series.at_hand
    known = series.short(at_hand, origins[0])
    found = []
    for each in wanted:
        end = max(origins[each.far] + each.end, 0)
        begin = max(end - each.span, 0)
        span = known[begin - at_hand : end - at_hand] if begin >= at_hand else series.short(begin, end)
        found.append(each.kind.reduce(span) if end > begin else 0.0)
    return found


def _extreme(series: LoadSeries, rows: Rows, wanted: Extreme) -> npt.NDArray[np.float32]:
    ends = rows + wanted.end
    runs = _running(series.short(), wanted.span, wanted.kind)
    return np.where(ends > 0, runs[np.clip(ends - 1, 0, len(runs) - 1)], np.float32(0.0))


def _running(values: npt.NDArray[np.float32], span: int, kind: np.ufunc) -> npt.NDArray[np.float32]:
    """Extreme of the last `span` values up to each one."""
    # Many rows at once is what learning asks for: at a tick nothing needs scipy's memory.
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    run = maximum_filter1d if kind is np.maximum else minimum_filter1d
    # The filter's window is centred; this origin makes it end at the value itself.
    return np.asarray(run(values, size=span, origin=(span - 1) // 2, mode="nearest"))
