"""Azure Functions in its two public forms (Azure/AzurePublicDataset).

2019: calls in each minute of a day, one function a line. A file is a day; several files are days in the order of
their names (`invocations_per_function_md.anon.d01.csv`, …).

2021: one call a line, with the time of its end and its duration.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from autoscaler.model import InvalidInput
from simulations.traffic.bins import from_arrivals, rebin
from simulations.traffic.formats.format import LINES, REQUESTS, Format, Head, ReadOptions, recorded
from simulations.traffic.rows import Floats, Rows, Tally
from simulations.traffic.table import Column, table
from simulations.traffic.trace import Trace

OWNER = ("HashOwner", "HashApp", "HashFunction", "Trigger")
MINUTES = tuple(str(minute) for minute in range(1, 1441))


def _recognises(head: Head) -> bool:
    return set(OWNER) <= head.columns


def _read(paths: Sequence[Path], options: ReadOptions) -> Trace:
    days = sorted(paths, key=lambda path: path.name)
    function = options.function
    recording = recorded(
        days, options, format=AZURE_FUNCTIONS.name, function=function or "all, added up", files=str(len(days))
    )
    counts = np.concatenate([_day(path, function, recording.tally) for path in days])
    labels = {**recording.labels, **recording.tally.verdict(recording.where)}
    if function and not counts.any():
        raise InvalidInput(f"{recording.where}: function {function!r} has no calls in {len(days)} files")
    trace = Trace(recording.name, 60.0, counts, labels=labels)
    return trace if options.bin_s is None else rebin(trace, options.bin_s)


def _day(path: Path, function: str | None, tally: Tally) -> Floats:
    """Calls in each minute of one day, of one function or of all."""
    total = np.zeros(len(MINUTES))
    columns = [Column("HashFunction", pa.string()), *(Column(minute, pa.float64()) for minute in MINUTES)]
    for rows in table(path, columns, tally):
        names, *minutes = rows.columns
        counts = np.stack(minutes)
        bad = ~(np.isfinite(counts) & (counts >= 0))
        if bad.any():
            minute, row = np.argwhere(bad)[0]
            value = f"{MINUTES[minute]}: {counts[minute, row]:g}"
            raise InvalidInput(f"{rows.at(row)}: {value} — allowed is a finite number, 0 or more")
        total += counts[:, names == function].sum(axis=1) if function else counts.sum(axis=1)
    return total


CALL = (
    Column("func", pa.string()),
    Column("end_timestamp", pa.float64()),
    Column("duration", pa.float64()),
)
MAX_DISORDER_S = 3600.0
"""Lines are in no strict order, and a call that ends late began early."""


def _recognises_calls(head: Head) -> bool:
    return {column.name for column in CALL} <= head.columns


def _read_calls(paths: Sequence[Path], options: ReadOptions) -> Trace:
    recording = recorded(paths, options, format=AZURE_FUNCTION_CALLS.name, function=options.function or "all, added up")
    pieces = (piece for path in paths for piece in table(path, CALL, recording.tally))
    disorder_s = MAX_DISORDER_S if options.max_disorder_s is None else options.max_disorder_s
    starts = (_starts(piece, options.function) for piece in pieces)
    return from_arrivals(recording, starts, "end_timestamp - duration", disorder_s)


def _starts(piece: Rows, function: str | None) -> Rows:
    """When the calls began; those that began before the trace did are counted at its beginning."""
    names, ends, durations = piece.columns
    wanted = names == function if function else np.ones(len(names), dtype=bool)
    began = np.where((ends >= 0) & (durations >= 0), np.maximum(ends - durations, 0.0), -1.0)
    return Rows(piece.path, piece.lines[wanted], (began[wanted],))


AZURE_FUNCTION_CALLS = Format(
    "azure-function-calls",
    "app,func,end_timestamp,duration",
    _recognises_calls,
    _read_calls,
    REQUESTS | {"function"},
)

AZURE_FUNCTIONS = Format(
    "azure-functions", "HashOwner,HashApp,HashFunction,Trigger,1,2,…,1440", _recognises, _read, LINES | {"function"}
)
