"""Answers of Prometheus to a range query (`/api/v1/query_range`, result type `matrix`).

A counter is differenced series by series, a fall is a restart from 0, and a series that appears later began at 0:
what a new pod counted before its first sample is traffic. Where samples are missing inside a series, what came
meanwhile is spread evenly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import orjson

from autoscaler.model import InvalidInput
from simulations.traffic.bins import LATEST_S, MAX_BINS, rebin
from simulations.traffic.formats.format import Format, Head, ReadOptions, Values, recorded
from simulations.traffic.rows import Floats
from simulations.traffic.source import whole
from simulations.traffic.trace import Trace

MAX_BYTES = 512 << 20
"""Largest answer that is read (expanded): about 20 million samples."""
COUNTER_SUFFIXES = ("_total", "_count")
"""Names of counters, by the conventions of Prometheus and OpenMetrics."""

RATE_OPERATIONS = ("rate", "irate")
"""Last part of the name of a recording rule that takes a rate, by the convention level:metric:operations."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer."""

    labels: Mapping[str, str]
    times_s: Floats
    values: Floats

    def __str__(self) -> str:
        return "{" + ", ".join(f'{name}="{value}"' for name, value in self.labels.items()) + "}"


def _recognises(head: Head) -> bool:
    start = head.data.lstrip()[:1]
    return start == b"{" and (b'"resultType"' in head.data or b'"status"' in head.data[:200])


def _read(paths: Sequence[Path], options: ReadOptions) -> Trace:
    if len(paths) > 1:
        raise InvalidInput(f"{paths[1]}: a second file — allowed is one answer of Prometheus; record the whole range")
    answer = _answer(paths[0])
    series = list(_series(paths[0], answer))
    values = options.values or _values(paths[0], answer, series)
    recording = recorded(paths, options, format=PROMETHEUS_RANGE.name, values=values, series=str(len(series)))
    counts, step_s, start_s, missing = _sum(paths[0], series, values)
    labels = {**recording.labels} | ({"missing_samples": f"{missing}, spread evenly"} if missing else {})
    trace = Trace(recording.name, step_s, counts, start_s=start_s, labels=labels)
    return trace if options.bin_s is None else rebin(trace, options.bin_s)


def _answer(path: Path) -> dict[str, Any]:
    """The answer; its `data` alone is taken as well."""
    try:
        answer: Any = orjson.loads(whole(path, MAX_BYTES))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from error
    if isinstance(answer, dict) and answer.get("status", "success") != "success":
        raise InvalidInput(f"{path}: status {answer['status']!r}: {answer.get('error', '')} — allowed is an answer")
    data = answer.get("data", answer) if isinstance(answer, dict) else None
    if not isinstance(data, dict) or data.get("resultType") != "matrix" or not isinstance(data.get("result"), list):
        raise InvalidInput(f"{path}: not the answer to a range query — allowed is data.resultType 'matrix'")
    return {**answer, "data": data}


def _series(path: Path, answer: Mapping[str, Any]) -> Iterator[Series]:
    seen: set[tuple[tuple[str, str], ...]] = set()
    for number, entry in enumerate(answer["data"]["result"], 1):
        try:
            labels = {str(name): str(value) for name, value in entry["metric"].items()}
            times, values = (np.array(column, dtype=np.float64) for column in zip(*entry["values"], strict=True))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            allowed = 'allowed is {"metric": {…}, "values": [[time, "value"], …]}'
            raise InvalidInput(f"{path}: series {number}: cannot be read ({error}) — {allowed}") from error
        series = Series(labels, times, values)
        key = tuple(sorted(labels.items()))
        if key in seen:
            raise InvalidInput(f"{path}: series {number} {series}: a second series with these labels")
        seen.add(key)
        _check(f"{path}: series {number} {series}", series)
        yield series


def _check(where: str, series: Series) -> None:
    tests = (
        (np.isfinite(series.times_s) & (series.times_s >= 0), "allowed is a finite time, 0 or more"),
        (series.times_s < LATEST_S, "allowed are seconds, before the year 2100: are these milliseconds?"),
        (np.diff(series.times_s, prepend=-1.0) > 0, "time must rise from sample to sample"),
        (np.isfinite(series.values) & (series.values >= 0), "allowed is a finite value, 0 or more"),
    )
    for good, allowed in tests:
        if not good.all():
            sample = int(np.argmin(good))
            time, value = series.times_s[sample], series.values[sample]
            raise InvalidInput(f"{where}: sample {sample + 1} at {time:.3f}: {value:g} — {allowed}")


def _values(path: Path, answer: Mapping[str, Any], series: Sequence[Series]) -> Values:
    """What the samples are: what `trace record` noted, else by the metric's name, else by what they cannot be."""
    noted = answer.get("recording")
    if isinstance(noted, dict) and noted.get("values") in get_args(Values):
        return cast("Values", noted["values"])
    names = {one.labels.get("__name__", "") for one in series}
    if all(name.endswith(COUNTER_SUFFIXES) for name in names):
        return "counter"
    if all(":" in name and name.rpartition(":")[2].startswith(RATE_OPERATIONS) for name in names):
        return "rate"
    if names == {""} and any(_cannot_be_counter(one.values) for one in series):
        return "rate"
    what = ", ".join(sorted(names - {""})) or "the query"
    raise InvalidInput(
        f"{path}: {what} does not tell what its samples are — give --values counter (cumulative), rate (requests/s) "
        "or count (requests in each step)"
    )


def _cannot_be_counter(values: Floats) -> bool:
    """Whether it falls to more than half; a counter falls only when it restarts near 0."""
    return bool(np.any((values[1:] < values[:-1]) & (values[1:] > values[:-1] / 2)))


def _sum(path: Path, series: Sequence[Series], values: Values) -> tuple[Floats, float, float, int]:
    """Requests in each step over all series; the step, the clock time of the first bin, and how many samples miss."""
    if not series or max(len(one.times_s) for one in series) < 2:
        raise InvalidInput(f"{path}: no series with two samples or more — nothing can be counted")
    step_s = min(float(np.diff(one.times_s).min()) for one in series if len(one.times_s) > 1)
    first_s = min(float(one.times_s[0]) for one in series)
    last_s = max(float(one.times_s[-1]) for one in series)
    steps = (last_s - first_s) / step_s
    if not steps <= MAX_BINS:
        raise InvalidInput(f"{path}: {steps:.0f} steps of {step_s:g} s — allowed are {MAX_BINS}")
    counts = np.zeros(round(steps) + 1)  # of the step that ends at each sample
    missing = 0
    for one in series:
        place = np.round((one.times_s - first_s) / step_s).astype(np.int64)
        if np.any(np.abs(first_s + place * step_s - one.times_s) > 0.01 * step_s):
            raise InvalidInput(f"{path}: series {one}: samples off the grid of {step_s:g} s — allowed are even steps")
        grid = np.arange(place[0], place[-1] + 1)
        missing += len(grid) - len(place)
        if values == "counter":
            grown = np.diff(one.values, prepend=0.0)
            grown = np.where(grown < 0, one.values, grown)
            grown[0] = one.values[0] if place[0] > 0 else 0.0
            counts[grid] += np.diff(np.interp(grid, place, np.cumsum(grown)), prepend=0.0)
        else:
            counts[grid] += np.interp(grid, place, one.values) * (step_s if values == "rate" else 1.0)
    if values == "counter":  # what came before the first sample is not known
        return counts[1:], step_s, first_s, missing
    return counts, step_s, first_s - step_s, missing


PROMETHEUS_RANGE = Format(
    "prometheus",
    '{"status":"success","data":{"resultType":"matrix","result":[…]}}',
    _recognises,
    _read,
    frozenset({"values"}),
)
