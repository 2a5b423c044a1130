"""Announced events: where a window meets one, no load below the announced one is expected in it.

An announcement only adds: the forecast's mass below the announced load moves up to it, and what lies above stays. So
an event that comes is met, and one that does not come costs the pods of its load while it was to last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.bins import bin_of, log_ratio
from autoscaler.forecast.series import LoadSeries
from autoscaler.model import Event, Moment

Floats = npt.NDArray[np.floating]

BEFORE_S = 600.0
"""A factor is meant over the load of this time before the event."""
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Announced:
    """What is to come in a window."""

    names: tuple[str, ...] = ()
    load: float = 0.0
    """The largest, in the load's own unit."""

    @property
    def said(self) -> str:
        """The addition to a reason."""
        return f"; announced: {', '.join(self.names)}" if self.names else ""


def announced(
    events: Sequence[Event], series: LoadSeries, level: float, window: tuple[int, int], time_zone: tzinfo
) -> Announced:
    """The events that a window meets.

    Args:
        events: of the calendar.
        series: the load so far; its end is now.
        level: present load, in requests an interval.
        window: first interval after now, and the one after the last.
        time_zone: in which the events' times are meant.

    Returns:
        Names, and the load in requests an interval.
    """
    first_s, end_s = (series.end_s + edge * series.interval_s for edge in window)
    if not events or math.isnan(end_s):
        return Announced()
    met = {
        event.name: _load(event, start_s, series, level)
        for event in events
        for start_s in _starts(event, first_s, end_s, time_zone)
    }
    return Announced(tuple(met), max(met.values(), default=0.0))


def raised(histogram: Floats, level: float, load: float) -> Floats:
    """A forecast without loads below an announced one; shape (BINS,). Level and load are in busy slots."""
    least = int(bin_of(log_ratio(load, level)))
    found = histogram.copy()
    found[least] += found[:least].sum()
    found[:least] = 0.0
    return found


def _load(event: Event, start_s: float, series: LoadSeries, level: float) -> float:
    if event.rate_rps is not None:
        return event.rate_rps * series.interval_s
    begin = round((min(start_s, series.end_s) - series.start_s) / series.interval_s)
    before = np.array([begin - round(BEFORE_S / series.interval_s)]), np.array([begin])
    return (event.factor or 1.0) * (float(series.mean(*before)[0]) if begin > 0 else level)


def _starts(event: Event, first_s: float, end_s: float, time_zone: tzinfo) -> Iterator[float]:
    """When the event begins, for each time that it overlaps a span."""
    hours = range(int(first_s // HOUR_S), int(end_s // HOUR_S) + 1)
    met = {span: None for hour in hours for span in _spans(event, hour, time_zone)}
    return (start_s for start_s, stop_s in met if start_s < end_s and stop_s > first_s)


@lru_cache(maxsize=4096)
def _spans(event: Event, hour: int, time_zone: tzinfo) -> tuple[tuple[float, float], ...]:
    """When the event begins and ends, for each time that it overlaps an hour since the epoch."""
    first_s, end_s = hour * HOUR_S, (hour + 1) * HOUR_S
    today = datetime.fromtimestamp(first_s, time_zone).date()
    days = [event.begin.day] if event.begin.day else [today + timedelta(days=n) for n in range(-8, 2)]
    spans = []
    for day in days:
        if event.begin.weekday in (None, day.weekday()):
            start = datetime.combine(day, event.begin.at, time_zone)
            start_s, stop_s = start.timestamp(), _next(event.end, start).timestamp()
            if start_s < end_s and stop_s > first_s:
                spans.append((start_s, stop_s))
    return tuple(spans)


def _next(moment: Moment, after: datetime) -> datetime:
    """The next such moment, by the clock on the wall."""
    if moment.day is not None:
        return datetime.combine(moment.day, moment.at, after.tzinfo)
    days = 0 if moment.weekday is None else (moment.weekday - after.weekday()) % 7
    found = datetime.combine(after.date() + timedelta(days=days), moment.at, after.tzinfo)
    if found.replace(tzinfo=None) <= after.replace(tzinfo=None):
        found += timedelta(days=1 if moment.weekday is None else 7)
    return found
