"""Write a trace as counts."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from autoscaler.files import atomic
from autoscaler.model import InvalidInput
from simulations.traffic.formats.parquet import METADATA
from simulations.traffic.rows import Floats
from simulations.traffic.trace import Trace

SUFFIXES = (".csv", ".csv.gz", ".parquet")
OF_THE_SOURCE = {"format", "file", "sha256"}
"""Labels that are true of the file that was read, not of the one that is written."""


def write(trace: Trace, path: Path, *, clock: bool = False) -> None:
    """Write the counts of a trace, in the form that the file's name tells; single arrivals are not written.

    The same trace gives the same bytes. The file appears when it is complete.

    Args:
        trace: what is written.
        path: ends in `.csv`, `.csv.gz` or `.parquet`; Parquet also keeps scale, clock and labels.
        clock: let `timestamp_s` be seconds since the epoch instead of seconds since the trace began.

    Raises:
        InvalidInput: another ending, or the file cannot be written.
    """
    if not path.name.endswith(SUFFIXES):
        raise InvalidInput(f"{path}: allowed endings are {', '.join(SUFFIXES)}")
    stamps = np.arange(len(trace.counts), dtype=np.float64) * trace.bin_s + (trace.start_s if clock else 0.0)
    table = pa.table({"timestamp_s": _slim(stamps), "count": _slim(trace.counts)})
    with atomic(path) as file:
        if path.suffix == ".parquet":
            noted = {key: getattr(trace, key) for key in ("scale", "eval_start_s", "start_s", "counted")}
            labels = {key: text for key, text in trace.labels.items() if key not in OF_THE_SOURCE}
            metadata = orjson.dumps({**noted, "labels": labels})
            pa.parquet.write_table(table.replace_schema_metadata({METADATA: metadata}), file)
        elif path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as stream:
                _write_csv(table, stream)
        else:
            _write_csv(table, file)


def _write_csv(table: pa.Table, stream: IO[bytes] | gzip.GzipFile) -> None:
    stream.write(b"timestamp_s,count\n")  # pyarrow would put the names in quotes
    pyarrow.csv.write_csv(table, stream, pyarrow.csv.WriteOptions(include_header=False, quoting_style="none"))


def _slim(values: Floats) -> Floats | npt.NDArray[np.int64]:
    """Whole numbers as integers."""
    return values.astype(np.int64) if np.all(values == np.floor(values)) else values
