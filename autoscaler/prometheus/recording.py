"""A range of Prometheus's samples saved as Prometheus's own JSON, in chunks, so that an interrupted run goes on.

Beside the file stands a folder `FILE.parts` with what is finished; it goes when the file is whole.
"""

from __future__ import annotations

import gzip
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from autoscaler.files import atomic
from autoscaler.model import InvalidInput, Unreachable
from autoscaler.prometheus.client import MAX_POINTS, Answer, Series

CHUNK_POINTS = 2_000
"""Points of one query, at most MAX_POINTS: what an interruption can lose, and what the server must hold at once."""
SUFFIXES = (".json", ".json.gz")
BACKOFF_S = (1.0, 2.0, 4.0)
"""Waits before a chunk that failed is asked for again."""

RangeQuery = Callable[[str, float, float, float], Iterator[Answer]]
"""`Prometheus.query_range`: PromQL, start, end, step, all in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is recorded: points at `start_s + k * step_s` up to and including `end_s`."""

    query: str
    start_s: float
    end_s: float
    step_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and 0 <= self.start_s < self.end_s):
            raise InvalidInput(f"range: from {self.start_s} to {self.end_s} — the end must lie after the start")
        if not (math.isfinite(self.step_s) and 0.001 <= self.step_s <= self.end_s - self.start_s):
            raise InvalidInput(f"step: {self.step_s:g} s — allowed is 1 ms to the length of the range")

    def chunks(self) -> list[tuple[float, float]]:
        """First and last point of each chunk."""
        last = int((self.end_s - self.start_s) / self.step_s + 1e-9)
        size = min(CHUNK_POINTS, MAX_POINTS)
        ends = ((first, min(first + size - 1, last)) for first in range(0, last + 1, size))
        return [(self.start_s + first * self.step_s, self.start_s + end * self.step_s) for first, end in ends]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that may be half done."""

    path: Path
    range: Range
    values: str
    """What the samples are: counter, rate or count; whoever reads the file is told."""

    @property
    def parts(self) -> Path:
        """The folder of finished chunks."""
        return self.path.with_name(self.path.name + ".parts")

    def finished(self) -> int:
        """How many chunks are on disk."""
        return sum(self._part(number).exists() for number in range(len(self.range.chunks())))

    def fetch(
        self,
        query_range: RangeQuery,
        sleep: Callable[[float], None],
        *,
        accept_warnings: bool = False,
    ) -> Iterator[int]:
        """Ask for every chunk that is not yet on disk; give the number of each when it is there.

        Raises:
            Unreachable: a chunk failed four times, or its answer is partial and `accept_warnings` is not set.
            InvalidInput: the server refused the query, or the folder cannot be written.
        """
        for number, (start_s, end_s) in enumerate(self.range.chunks()):
            if not self._part(number).exists():
                answer = _ask(query_range, self.range, start_s, end_s, sleep)
                if answer.warnings and not accept_warnings:
                    raise Unreachable(f"the answer is partial: {'; '.join(answer.warnings)} — or use --accept-warnings")
                _save(self._part(number), [_result(series) for series in answer.series])
            yield number

    def finish(self) -> int:
        """Join the chunks into the file and remove them; how many samples it holds.

        Raises:
            InvalidInput: the query gave no sample in the whole range, or the file cannot be written.
        """
        joined: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
        for number in range(len(self.range.chunks())):
            for result in orjson.loads(self._part(number).read_bytes()):
                key = tuple(sorted(result["metric"].items()))
                joined.setdefault(key, {"metric": result["metric"], "values": []})["values"] += result["values"]
        samples = sum(len(result["values"]) for result in joined.values())
        if not samples:
            raise InvalidInput(f"`{self.range.query}` has no samples in this range — {self.path} is not written")
        _save(
            self.path,
            {
                "status": "success",
                "data": {"resultType": "matrix", "result": list(joined.values())},
                "recording": {**asdict(self.range), "values": self.values},
            },
        )
        shutil.rmtree(self.parts)
        return samples

    def _part(self, number: int) -> Path:
        return self.parts / f"{number:06d}.json"


def begin(path: Path, asked: Mapping[str, str], wanted: Range, values: str) -> Recording:
    """Start a recording, or take up one that was interrupted.

    A relative range such as "the last day" keeps the meaning it had when the recording began.

    Args:
        path: the file that shall be written; `.gz` at its end compresses it.
        asked: the question in the user's words; a recording goes on only for the same question.
        wanted: what these words mean now.
        values: what the samples are.

    Raises:
        InvalidInput: another ending, the file is there already, or a recording of something else was interrupted here.
    """
    recording = Recording(path, wanted, values)
    plan = recording.parts / "plan.json"
    if not path.name.endswith(SUFFIXES):
        raise InvalidInput(f"{path}: allowed endings are {', '.join(SUFFIXES)}")
    if path.exists():
        raise InvalidInput(f"{path}: is there already — remove it or choose another name")
    if plan.exists():
        kept = orjson.loads(plan.read_bytes())
        if kept["asked"] != dict(asked) or kept["values"] != values:
            raise InvalidInput(f"{recording.parts}: holds another recording ({kept['asked']}) — finish or remove it")
        return Recording(path, Range(**kept["range"]), values)
    try:
        recording.parts.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{recording.parts}: cannot be made: {error.strerror}") from error
    _save(plan, {"asked": dict(asked), "range": asdict(wanted), "values": values})
    return recording


def _ask(
    query_range: RangeQuery, wanted: Range, start_s: float, end_s: float, sleep: Callable[[float], None]
) -> Answer:
    for wait_s in BACKOFF_S:
        try:
            return next(query_range(wanted.query, start_s, end_s, wanted.step_s))
        except Unreachable:
            sleep(wait_s)
    return next(query_range(wanted.query, start_s, end_s, wanted.step_s))


def _result(series: Series) -> dict[str, Any]:
    values = [[int(at) if at.is_integer() else at, _number(value)] for at, value in series.samples]
    return {"metric": dict(series.labels), "values": values}


def _number(value: float) -> str:
    """A sample as Prometheus writes it."""
    if math.isfinite(value):
        return repr(value).removesuffix(".0")
    return "NaN" if math.isnan(value) else f"{value:+}".replace("inf", "Inf")


def _save(path: Path, content: Any) -> None:  # noqa: ANN401 — any JSON
    with atomic(path) as file:
        data = orjson.dumps(content)
        file.write(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
