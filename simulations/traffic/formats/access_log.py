r"""Access logs of web servers: the common log format, the combined one, and either with more fields behind.

Written by Apache httpd (`LogFormat "%h %l %u %t \"%r\" %>s %b"`, mod_log_config), by nginx (`log_format combined`)
and by many others. Apache writes a line when the answer is done, with the time at which the request came, so its
lines are only nearly in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path

from simulations.traffic import source
from simulations.traffic.bins import from_arrivals
from simulations.traffic.formats.format import REQUESTS, Format, Head, ReadOptions, recorded
from simulations.traffic.rows import line_rows
from simulations.traffic.trace import Trace

MAX_DISORDER_S = 300.0
"""A request may be written down this much late: the answer to a slow client takes minutes, seldom more."""
CLOCK_S = 1.0
"""Stamps are whole seconds."""

LINE = re.compile(
    rb"\S+ \S+ [^\[\n]*"  # host, identity, user; a user's name may contain spaces
    rb"\[(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    rb'"[^\n]*" (?:\d{3}|-) (?:\d+|-)(?:\s|$)'  # request, status, size; referrer, agent and others may follow
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _recognises(head: Head) -> bool:
    return LINE.match(head.first_line) is not None


def _read(paths: Sequence[Path], options: ReadOptions) -> Trace:
    zone = _first_zone(paths[0])
    recording = recorded(paths, options, format=ACCESS_LOG.name, time_zone=zone)
    rows = (line_rows(block, _utc_s, recording.tally) for path in paths for block in source.blocks(path))
    disorder_s = MAX_DISORDER_S if options.max_disorder_s is None else options.max_disorder_s
    trace = from_arrivals(recording, rows, "time", disorder_s, CLOCK_S)
    return replace(trace, start_s=trace.start_s + _offset_s(zone))


def _utc_s(line: bytes) -> float | None:
    """Seconds since the epoch; None for a line that is malformed."""
    match = LINE.match(line)
    return _stamp_s(match[1]) if match else None


@lru_cache(maxsize=4096)
def _stamp_s(stamp: bytes) -> float | None:
    """Seconds since the epoch of `10/Oct/2000:13:55:36 -0700`; None if there is no such time. Months are English."""
    text = stamp.decode()
    try:
        month = MONTHS.index(text[3:6]) + 1
        hour, minute, second = int(text[12:14]), int(text[15:17]), int(text[18:20])
        zone = timezone(timedelta(seconds=_offset_s(text[21:])))
        # A leap second is counted as the one before it.
        return datetime(int(text[7:11]), month, int(text[:2]), hour, minute, min(second, 59), tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        return None


def _offset_s(zone: str) -> float:
    """Seconds that a zone such as `-0700` is ahead of UTC."""
    return (3600.0 * int(zone[1:3]) + 60.0 * int(zone[3:])) * (-1 if zone[0] == "-" else 1)


def _first_zone(path: Path) -> str:
    """The zone of the first line that can be read, as `-0700`; the recording's local time is told by it."""
    for line in source.head(path).split(b"\n"):
        match = LINE.match(line)
        if match and _stamp_s(match[1]) is not None:
            return match[1][-5:].decode()
    return "+0000"


ACCESS_LOG = Format(
    "access-log",
    'host - user [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 512',
    _recognises,
    _read,
    REQUESTS,
)
