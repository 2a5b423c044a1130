"""Parquet files with the columns of `counts` or of `requests`; line numbers in messages are row numbers.

A file that `simulations.traffic.write` made carries in its metadata what a table of counts cannot say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from autoscaler.model import InvalidInput
from simulations.traffic.bins import from_arrivals, from_counts
from simulations.traffic.formats.format import REQUESTS, Format, Head, ReadOptions, recorded
from simulations.traffic.rows import Rows, Tally
from simulations.traffic.trace import Trace

METADATA = b"speech-autoscaler"
COUNTS = ("timestamp_s", "count")
ARRIVALS = ("arrival_s",)


def _recognises(head: Head) -> bool:
    return head.data.startswith(b"PAR1")


def _read(paths: Sequence[Path], options: ReadOptions) -> Trace:
    recording = recorded(paths, options, format=PARQUET.name)
    columns = _columns(paths[0])
    rows = (rows for path in paths for rows in _rows(path, columns, recording.tally))
    if columns == ARRIVALS:
        return from_arrivals(recording, rows, "arrival_s", options.max_disorder_s or 0.0)
    return _with_noted(from_counts(recording, rows), _open(paths[0]).schema_arrow.metadata or {})


def _open(path: Path) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path}: cannot be read as Parquet: {error}") from error


def _columns(path: Path) -> tuple[str, ...]:
    names = _open(path).schema_arrow.names
    for columns in (COUNTS, ARRIVALS):
        if set(columns) <= set(names):
            return columns
    allowed = f"allowed are {', '.join(COUNTS)} or {', '.join(ARRIVALS)}"
    raise InvalidInput(f"{path}: columns {', '.join(names)[:200]} — {allowed}")


def _rows(path: Path, columns: Sequence[str], tally: Tally) -> Iterator[Rows]:
    """Rows in batches; one with an empty field is malformed."""
    first = 1
    try:
        for batch in _open(path).iter_batches(columns=list(columns)):
            table = pa.table({name: batch.column(name).cast(pa.float64()) for name in columns})
            empty = np.zeros(len(batch), dtype=bool)
            for name in columns:
                empty |= pyarrow.compute.is_null(table.column(name)).to_numpy()
            for row in np.flatnonzero(empty):
                tally.refuse(path, first + int(row), repr(batch.slice(row, 1).to_pylist()[0]).encode())
            tally.rows += len(batch) - int(empty.sum())
            values = tuple(table.column(name).to_numpy()[~empty] for name in columns)
            yield Rows(path, np.flatnonzero(~empty) + first, values)
            first += len(batch)
    except (pa.ArrowException, KeyError) as error:
        raise InvalidInput(f"{path}: {', '.join(columns)}: {error} — allowed are numbers") from error


def _with_noted(trace: Trace, metadata: dict[bytes, bytes]) -> Trace:
    if METADATA not in metadata:
        return trace
    noted: dict[str, Any] = orjson.loads(metadata[METADATA])
    return replace(trace, **noted | {"labels": {**noted["labels"], **trace.labels}})


PARQUET = Format("parquet", "PAR1 (timestamp_s, count or arrival_s)", _recognises, _read, REQUESTS)
