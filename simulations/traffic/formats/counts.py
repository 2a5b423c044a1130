"""Counts in bins: `timestamp_s,count`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from simulations.traffic.bins import from_counts
from simulations.traffic.formats.format import LINES, Format, Head, ReadOptions, recorded
from simulations.traffic.table import Column, table
from simulations.traffic.trace import Trace

COLUMNS = (Column("timestamp_s", pa.float64()), Column("count", pa.float64()))


def _recognises(head: Head) -> bool:
    return {"timestamp_s", "count"} <= head.columns


def _read(paths: Sequence[Path], options: ReadOptions) -> Trace:
    recording = recorded(paths, options, format=COUNTS.name)
    return from_counts(recording, (rows for path in paths for rows in table(path, COLUMNS, recording.tally)))


COUNTS = Format("counts", "timestamp_s,count", _recognises, _read, LINES)
