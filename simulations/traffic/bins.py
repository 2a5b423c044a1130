"""From rows to a trace: order and values checked, arrivals counted in bins, bins widened or split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from autoscaler.model import InvalidInput
from simulations.traffic.rows import Floats, Rows, Tally
from simulations.traffic.trace import Trace

MAX_BINS = 10_000_000
"""Bins of one trace: 115 days of seconds, 19 years of minutes."""
MAX_REQUESTS = 500_000_000
"""Single arrivals that are read of one trace."""
LATEST_S = 4_102_444_800.0
"""2100-01-01: a later time is not in seconds."""
EPOCH_FROM_S = 1e8
"""Times from here on (March 1973) are seconds since the epoch; smaller ones count from the trace's own beginning."""
BIN_WIDTHS_S = (1.0, 10.0, 60.0, 300.0, 3600.0)
"""Widths that are tried in turn where nobody asked for one; the first that needs at most MAX_BINS is taken."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one file, or several in a row, gave before it became a trace."""

    name: str
    where: str
    """The file it was read from, for messages; of several the first."""
    labels: Mapping[str, str]
    tally: Tally
    """What became of its lines."""
    bin_s: float | None = None
    """Width that was asked for; None takes the recording's own."""


def from_counts(recorded: Recorded, rows: Iterable[Rows]) -> Trace:
    """Make a trace of rows of (start of the bin in seconds, count).

    The smallest distance of two rows is the bin width. Bins that are not in the file are empty, and a label says how
    many. A first time before March 1973 is the beginning of the trace, a later one also its clock time.

    Raises:
        InvalidInput: a value is not finite or negative, a time does not rise or is off the grid, or there are
            fewer than two rows or too many bins.
    """
    stamps: list[Floats] = []
    counts: list[Floats] = []
    places: list[Rows] = []
    last_s = -math.inf
    for piece in rows:
        stamp, count = piece.columns
        _check_times(piece, stamp, "timestamp_s")
        _check(piece, np.isfinite(count) & (count >= 0), count, "count", "allowed is a finite number, 0 or more")
        before = np.concatenate(([last_s], stamp[:-1]))
        _check(piece, stamp > before, stamp, "timestamp_s", "time must rise from row to row", before=before)
        last_s = float(stamp[-1]) if len(stamp) else last_s
        stamps.append(stamp)
        counts.append(count)
        places.append(piece)
    labels = {**recorded.labels, **recorded.tally.verdict(recorded.where)}
    times = np.concatenate(stamps) if stamps else np.empty(0)
    if len(times) < 2:
        rows_are = "1 row" if len(times) else "no rows"
        raise InvalidInput(f"{recorded.where}: {rows_are} — allowed are two or more, to know the bin width")

    width = float(np.diff(times).min())
    _bound(recorded.where, np.round(float(times[-1] - times[0]) / width) + 1, width)
    steps = (times - times[0]) / width
    index = np.round(steps)
    _check_grid(places, np.abs(steps - index) * width < 1e-3, times, width)
    filled = np.zeros(int(index[-1]) + 1)
    filled[index.astype(np.int64)] = np.concatenate(counts)
    absent = len(filled) - len(times)
    if absent:
        labels["absent_bins"] = f"{absent} of {len(filled)}, read as 0"
    clocked = times[0] >= EPOCH_FROM_S
    if times[0] and not clocked:
        labels["first_row"] = f"at {_number(times[0])} s, taken as second 0"
    start_s = float(times[0]) if clocked else 0.0
    trace = Trace(recorded.name, width, filled, start_s=start_s, labels=labels)
    return trace if recorded.bin_s is None else rebin(trace, recorded.bin_s)


def from_arrivals(
    recorded: Recorded,
    rows: Iterable[Rows],
    column: str,
    max_disorder_s: float = 0.0,
    clock_s: float | None = None,
) -> Trace:
    """Make a trace of rows of single arrival times in seconds.

    Times before March 1973 count from the beginning of the trace, which is second 0; later ones are clock times, and
    second 0 is the start of the first arrival's bin. Whole seconds that occur more than once are a coarse clock, not
    crowds: such a recording becomes counts in bins as wide as its clock is coarse, without single arrivals.

    Args:
        recorded: the name, the labels and the width of bins that was asked for.
        rows: one column each.
        column: its name, for messages.
        max_disorder_s: a time may lie this far before the latest one so far; arrivals are then sorted.
        clock_s: seconds between two ticks of the clock that made the stamps, where the format says it.

    Raises:
        InvalidInput: a time is negative, not finite or goes back further, there is none, or there are too many.
    """
    pieces: list[Floats] = []
    latest, total = -math.inf, 0
    for piece in rows:
        (times,) = piece.columns
        _check_times(piece, times, column)
        so_far = np.maximum.accumulate(np.concatenate(([latest], times)))
        hint = f"time may go back by at most {max_disorder_s:g} s"
        _check(piece, times >= so_far[:-1] - max_disorder_s, times, column, hint, before=so_far[:-1])
        latest = float(so_far[-1])
        total += len(times)
        if total > MAX_REQUESTS:
            raise InvalidInput(f"{recorded.where}: more than {MAX_REQUESTS} requests, the most that is read")
        pieces.append(times)
    labels = {**recorded.labels, **recorded.tally.verdict(recorded.where)}
    if total == 0:
        raise InvalidInput(f"{recorded.where}: no requests")
    return replace(_binned(recorded, np.sort(np.concatenate(pieces)), clock_s), labels=labels)


def _binned(recorded: Recorded, times: Floats, clock_s: float | None) -> Trace:
    grain_s = clock_s or _grain_s(times)
    if grain_s:
        times = np.round(times / grain_s) * grain_s
    clocked = times[0] >= EPOCH_FROM_S
    widths = (recorded.bin_s,) if recorded.bin_s else ((grain_s,) if grain_s else ()) + BIN_WIDTHS_S
    span = float(times[-1] - (times[0] if clocked else 0.0))
    width = next((width for width in widths if span / width < MAX_BINS), widths[-1])
    _bound(recorded.where, np.floor(span / width) + 1, width)
    start_s = math.floor(times[0] / width) * width if clocked else 0.0
    since = times - start_s
    counts = np.bincount((since / width).astype(np.int64)).astype(np.float64)
    return Trace(recorded.name, width, counts, start_s=start_s, arrivals_s=None if grain_s else since)


def _grain_s(times: Floats) -> float | None:
    """Seconds between two ticks of the clock that made the stamps; None where it is finer than arrivals are apart.

    Ticks may be off by 1 % of their distance (Mooncake's 3 s are 2.999 to 3.003). Ten different times are needed to
    tell a clock of several seconds from chance.
    """
    distinct = np.unique(times)
    if len(distinct) == len(times):
        return None
    nearest = round(float(np.diff(distinct).min())) if len(distinct) >= 10 else 1
    for grain in (nearest, 1):
        if grain and np.all(np.abs(times - np.round(times / grain) * grain) <= 0.01 * grain):
            return float(grain)
    return None


def rebin(trace: Trace, bin_s: float) -> Trace:
    """The same requests in bins of another width; a bin that is cut gives each part its share of the time.

    The sum of the counts stays. The last bin may reach beyond the former end.

    Raises:
        InvalidInput: the width is not positive, or the bins would be too many.
    """
    if not (math.isfinite(bin_s) and bin_s > 0):
        raise InvalidInput(f"{trace.name}: bin width {bin_s:g} s — allowed is a finite number above 0")
    if bin_s == trace.bin_s:
        return trace
    bins = float(np.ceil(trace.duration_s / bin_s - 1e-9))
    _bound(trace.name, bins, bin_s)
    times = bin_s / trace.bin_s
    if times == round(times):
        counts = np.add.reduceat(trace.counts, np.arange(0, len(trace.counts), round(times)))
    else:
        edges = np.arange(int(bins) + 1) * bin_s
        known = np.arange(len(trace.counts) + 1) * trace.bin_s
        counts = np.diff(np.interp(edges, known, np.concatenate(([0.0], np.cumsum(trace.counts)))))
    return replace(trace, bin_s=bin_s, counts=counts)


def _bound(name: str, bins: float, width_s: float) -> None:
    if not bins <= MAX_BINS:
        raise InvalidInput(
            f"{name}: {bins:.0f} bins of {width_s:g} s — allowed are {MAX_BINS}; "
            "if the times are right, choose wider bins"
        )


def _check_times(piece: Rows, times: Floats, column: str) -> None:
    _check(piece, np.isfinite(times) & (times >= 0), times, column, "allowed is a finite time, 0 or more")
    _check(piece, times < LATEST_S, times, column, "allowed are seconds, before the year 2100: are these milliseconds?")


def _check(
    piece: Rows, good: npt.NDArray[np.bool_], values: Floats, column: str, allowed: str, *, before: Floats | None = None
) -> None:
    """Refuse the first row that is not good."""
    if good.all():
        return
    row = int(np.argmin(good))
    after = "" if before is None else f" after {_number(before[row])}"
    raise InvalidInput(f"{piece.at(row)}: {column}: {_number(values[row])}{after} — {allowed}")


def _check_grid(pieces: Iterable[Rows], good: npt.NDArray[np.bool_], times: Floats, width_s: float) -> None:
    offset = 0
    for piece in pieces:
        part = slice(offset, offset + len(piece.lines))
        allowed = f"allowed is a multiple of {width_s:g} s (the smallest distance of two rows) from {_number(times[0])}"
        _check(piece, good[part], times[part], "timestamp_s", allowed)
        offset = part.stop


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")
