"""What a format is: how it is recognised, how it is read, and which options it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from simulations.traffic.bins import Recorded
from simulations.traffic.rows import Tally
from simulations.traffic.table import header
from simulations.traffic.trace import Trace

SUFFIXES = (".gz", ".xz", ".bz2", ".zst", ".csv", ".json", ".jsonl", ".parquet", ".log", ".txt")

Values = Literal["counter", "rate", "count"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a recording is to be read; None leaves it to the format."""

    bin_s: float | None = None
    """Width of the bins of the trace."""
    max_disorder_s: float | None = None
    """How far a request's time may lie before the latest one so far."""
    max_malformed_ratio: float | None = None
    """Share of lines that may be malformed, 0 to 1; None is 1 %."""
    function: str | None = None
    """Azure Functions: the function (HashFunction) that is read; None adds up all."""
    values: Values | None = None
    """Prometheus: a cumulative counter, a rate in requests/s, or the count within each step."""

    def given(self) -> frozenset[str]:
        """Names of the options that were set."""
        return frozenset(name for name in self.__dataclass_fields__ if getattr(self, name) is not None)


@dataclass(frozen=True)
class Head:
    """The beginning of a file, as formats look at it to recognise themselves."""

    data: bytes

    @cached_property
    def first_line(self) -> bytes:
        """The first line that is not blank."""
        return self.data.lstrip().partition(b"\n")[0]

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names in the first line, if it is the header of a comma-separated file."""
        return frozenset(header(self.first_line[:100_000]))


Reader = Callable[[Sequence[Path], ReadOptions], Trace]


@dataclass(frozen=True, slots=True)
class Format:
    """One format of recorded traffic."""

    name: str
    looks_like: str
    """How a file of this format begins, for people."""
    recognises: Callable[[Head], bool]
    read: Reader
    options: frozenset[str] = field(default_factory=frozenset)
    """Options it takes besides `bin_s`."""


LINES = frozenset({"max_malformed_ratio"})
REQUESTS = LINES | {"max_disorder_s"}


def recorded(paths: Sequence[Path], options: ReadOptions, **labels: str) -> Recorded:
    """The name and the labels that a recording starts with; several files carry the name of the first."""
    tally = Tally() if options.max_malformed_ratio is None else Tally(options.max_malformed_ratio)
    return Recorded(trace_name(paths[0]), str(paths[0]), labels, tally, options.bin_s)


def trace_name(path: Path) -> str:
    """A file's name without the suffixes of formats."""
    name = path.name
    while name.endswith(SUFFIXES) and (stem := name.rpartition(".")[0]):
        name = stem
    return name
