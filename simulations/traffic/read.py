"""Read recorded traffic of any known format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autoscaler.model import InvalidInput
from simulations.traffic import source
from simulations.traffic.formats.access_log import ACCESS_LOG
from simulations.traffic.formats.azure_functions import AZURE_FUNCTION_CALLS, AZURE_FUNCTIONS
from simulations.traffic.formats.counts import COUNTS
from simulations.traffic.formats.format import Format, Head, ReadOptions
from simulations.traffic.formats.mooncake import MOONCAKE
from simulations.traffic.formats.parquet import PARQUET
from simulations.traffic.formats.prometheus_range import PROMETHEUS_RANGE
from simulations.traffic.formats.request_lists import AZURE_LLM, BURSTGPT, REQUEST_LIST
from simulations.traffic.trace import Trace

FORMATS = (
    COUNTS,
    REQUEST_LIST,
    AZURE_LLM,
    AZURE_FUNCTIONS,
    AZURE_FUNCTION_CALLS,
    MOONCAKE,
    BURSTGPT,
    ACCESS_LOG,
    PROMETHEUS_RANGE,
    PARQUET,
)


def read(path: Path | Sequence[Path], *, format: str | None = None, options: ReadOptions | None = None) -> Trace:  # noqa: A002
    """Read one file, or several that follow one another, as a trace.

    Lines that cannot be read are counted; the labels `malformed` and `malformed_first` tell of them.

    Args:
        path: the file, or the files in order of time; each may be compressed (gzip, xz, bzip2, zstd).
        format: name of the format; None finds it out.
        options: how to read it.

    Raises:
        InvalidInput: the format is not known or does not take the options, or the file is not as it says; the
            message names file and line.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    options = options or ReadOptions()
    if not paths:
        raise InvalidInput("no file to read")
    chosen = _named(format) if format else detect(paths[0])
    for name in sorted(options.given() - chosen.options - {"bin_s"}):
        takers = ", ".join(each.name for each in FORMATS if name in each.options)
        raise InvalidInput(f"{paths[0]}: format {chosen.name} does not take {name} — formats that do: {takers}")
    return chosen.read(paths, options)


def detect(path: Path) -> Format:
    """The format of a file, told by its first line.

    Raises:
        InvalidInput: it looks like none.
    """
    head = Head(source.head(path))
    for each in FORMATS:
        if each.recognises(head):
            return each
    first = head.first_line[:80].decode("utf-8", "replace").strip()
    known = (f"  {each.name}: {each.looks_like}" for each in FORMATS)
    raise InvalidInput(f"{path}: {first!r} begins no known format — known are", *known)


def _named(name: str) -> Format:
    for each in FORMATS:
        if each.name == name:
            return each
    raise InvalidInput(f"format {name!r} — allowed are {', '.join(each.name for each in FORMATS)}")
