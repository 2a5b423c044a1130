"""Mooncake's traces of LLM requests: one JSON object a line, times in milliseconds (kvcache-ai/Mooncake)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from simulations.traffic import source
from simulations.traffic.bins import from_arrivals
from simulations.traffic.formats.format import REQUESTS, Format, Head, ReadOptions, recorded
from simulations.traffic.rows import line_rows
from simulations.traffic.trace import Trace


def _recognises(head: Head) -> bool:
    return _time_s(head.first_line) is not None


def _read(paths: Sequence[Path], options: ReadOptions) -> Trace:
    recording = recorded(paths, options, format=MOONCAKE.name)
    rows = (line_rows(block, _time_s, recording.tally) for path in paths for block in source.blocks(path))
    return from_arrivals(recording, rows, "timestamp", options.max_disorder_s or 0.0)


def _time_s(line: bytes) -> float | None:
    """The time of one request; None for a line that is not a request."""
    try:
        request: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    time = request.get("timestamp") if isinstance(request, dict) and "input_length" in request else None
    return time / 1000 if isinstance(time, int | float) and not isinstance(time, bool) else None


MOONCAKE = Format(
    "mooncake", '{"timestamp": 0, "input_length": 6758, "output_length": 500, …}', _recognises, _read, REQUESTS
)
