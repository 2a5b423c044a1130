"""Comma-separated lists with one request a line; only the time of arrival is read.

`arrival_s,input_size,output_size` is this project's own form; Azure's LLM inference traces (2023 and 2024,
Azure/AzurePublicDataset) and BurstGPT (HPMLL/BurstGPT) differ in the column and in how a time is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from simulations.traffic import source
from simulations.traffic.bins import from_arrivals
from simulations.traffic.formats.format import REQUESTS, Format, Head, ReadOptions, recorded
from simulations.traffic.table import Column, table
from simulations.traffic.trace import Trace


def _seconds(_path: Path) -> pa.DataType:
    return pa.float64()


def _date(path: Path) -> pa.DataType:
    """Dates with a zone (`Z` or an offset) are read as UTC, dates without one as the recording's local time."""
    _header, _newline, rows = source.head(path).lstrip().partition(b"\n")
    first = rows.partition(b",")[0].strip().strip(b'"')
    zoned = first.endswith(b"Z") or first[-6:-5] in {b"+", b"-"}
    return pa.timestamp("ns", tz="UTC" if zoned else None)


@dataclass(frozen=True, slots=True)
class _List:
    """One kind of list."""

    name: str
    looks_like: str
    time: str
    """The column of arrival times."""
    beside: str
    """Another column of the header that tells it from other lists; "" where the first one is enough."""
    kind: Callable[[Path], pa.DataType] = _seconds
    """How the file writes a time."""

    def recognises(self, head: Head) -> bool:
        return {self.time, self.beside or self.time} <= head.columns

    def read(self, paths: Sequence[Path], options: ReadOptions) -> Trace:
        recording = recorded(paths, options, format=self.name)
        rows = (rows for path in paths for rows in table(path, (Column(self.time, self.kind(path)),), recording.tally))
        return from_arrivals(recording, rows, self.time, options.max_disorder_s or 0.0)

    def format(self) -> Format:
        return Format(self.name, self.looks_like, self.recognises, self.read, REQUESTS)


REQUEST_LIST = _List("requests", "arrival_s,input_size,output_size", "arrival_s", "").format()
AZURE_LLM = _List("azure-llm", "TIMESTAMP,ContextTokens,GeneratedTokens", "TIMESTAMP", "ContextTokens", _date).format()
BURSTGPT = _List(
    "burstgpt", "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type", "Timestamp", "Model"
).format()
