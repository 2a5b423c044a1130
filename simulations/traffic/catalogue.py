"""Folders of traces with a `catalogue.json`: the traces bundled with this package, and those of $SPEECH_SHARED.

An entry says how a trace is used: its scale, where the evaluation begins, whether the published means count it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from autoscaler.model import InvalidInput
from simulations.traffic.bins import rebin
from simulations.traffic.formats.format import ReadOptions
from simulations.traffic.read import read
from simulations.traffic.source import whole
from simulations.traffic.trace import Trace

FILE = "catalogue.json"
MAX_BYTES = 16 << 20

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Since = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Seconds since second 0 of the trace."""


class Gap(BaseModel):
    """A time for which nothing was recorded."""

    start_s: Since
    end_s: Since

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end_s <= self.start_s:
            raise ValueError("end_s must be above start_s")
        return self


class Entry(BaseModel):
    """What a catalogue says of one trace; what else stands there is for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    bin_s: Positive
    scale: Positive = 1.0
    eval_start_s: Since = 0.0
    counted: bool = True
    train: bool = False
    """Whether a model that is shipped may learn from it."""
    source: str = ""
    licence: str = ""
    character: str = ""
    transformation: str = ""
    time_zone_or_unknown: str = "unknown"
    start_time_if_known: str | None = None
    sha256: str = ""
    known_gaps: tuple[Gap, ...] = ()

    def labels(self) -> dict[str, str]:
        """What a trace carries of this; empty texts are left out."""
        gaps = ", ".join(f"{gap.start_s:g}-{gap.end_s:g} s" for gap in self.known_gaps)
        texts = {
            "source": self.source,
            "licence": self.licence,
            "character": self.character,
            "transformation": self.transformation,
            "time_zone": self.time_zone_or_unknown,
            "start_time": self.start_time_if_known or "unknown",
            "known_gaps": gaps,
            "sha256": self.sha256,
        }
        return {key: text for key, text in texts.items() if text}


def bundled() -> Path:
    """The folder of the traces that this package brings."""
    return Path(__file__).parents[1] / "demo"


def shared(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder of recorded traces: `$SPEECH_SHARED/traces`, else `../shared/traces` beside here or the repository."""
    named = environment.get("SPEECH_SHARED")
    homes = [Path(named)] if named else [Path("../shared"), Path(__file__).parents[3] / "shared"]
    return next((home / "traces" for home in homes if (home / "traces" / FILE).is_file()), None)


def entries(folder: Path) -> dict[str, Entry]:
    """A folder's catalogue by name, in its order.

    Raises:
        InvalidInput: it cannot be read, an entry is not as it must be, or two have the same name.
    """
    path = folder / FILE
    try:
        content: Any = orjson.loads(whole(path, MAX_BYTES))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from error
    if not isinstance(content, list):
        raise InvalidInput(f"{path}: {type(content).__name__} — allowed is a list with an entry for each trace")
    try:
        found = TypeAdapter(list[Entry]).validate_python(content)
    except ValidationError as error:
        raise InvalidInput(*(f"{path}: {problem}" for problem in _problems(content, error))) from error
    twice = [name for name, number in Counter(entry.name for entry in found).items() if number > 1]
    if twice:
        raise InvalidInput(*(f"{path}: {name}: names two entries — each trace has its own name" for name in twice))
    return {entry.name: entry for entry in found}


def _problems(content: list[Any], error: ValidationError) -> Iterator[str]:
    """What is wrong, with the name of the entry, or its number where it has none."""
    for each in error.errors():
        number, *route = each["loc"]
        entry = content[int(number)]
        name = (entry.get("name") or number) if isinstance(entry, dict) else number
        value = "not there" if each["type"] == "missing" else f"{each['input']!r}"
        yield f"{'.'.join(map(str, [name, *route]))}: {value:.80} — {each['msg'].removeprefix('Value error, ')}"


def load(folder: Path, entry: Entry, options: ReadOptions | None = None) -> Trace:
    """Read a trace as its catalogue wants it used. The file's hash is not verified here: `trace show` does that.

    Bins have the width that the catalogue states, whatever the options ask for; single arrivals are counted in it.
    An evaluation that begins inside a bin begins at the nearest bin, and a label says so.

    Raises:
        InvalidInput: the file cannot be read or has another bin width.
    """
    path = folder / entry.file
    trace = read(path, options=replace(options or ReadOptions(), bin_s=None))
    if trace.arrivals_s is not None:
        trace = rebin(trace, entry.bin_s)
    if trace.bin_s != entry.bin_s:
        raise InvalidInput(f"{path}: bins of {trace.bin_s:g} s — {folder / FILE} says {entry.bin_s:g} s")
    begin_s = round(entry.eval_start_s / entry.bin_s) * entry.bin_s
    moved = {} if begin_s == entry.eval_start_s else {"eval_start": f"{entry.eval_start_s:g} s, taken as {begin_s:g} s"}
    return replace(
        trace,
        name=entry.name,
        scale=entry.scale,
        eval_start_s=begin_s,
        start_s=clock_s(entry.start_time_if_known) or trace.start_s,
        gaps_s=tuple((gap.start_s, gap.end_s) for gap in entry.known_gaps),
        counted=entry.counted,
        labels={**trace.labels, **entry.labels(), **moved, "file": str(path)},
    )


_DAY_OF_TRACE = re.compile(r"day (\d{1,4}) of the trace \(trace starts (\d{4}-\d\d-\d\d)\)")


def clock_s(text: str | None) -> float:
    """The start of a recording as written in a catalogue, its local time read as UTC; 0 where it is not known.

    Known are an ISO date with or without a time, and `day N of the trace (trace starts DATE)`. Any other text,
    such as `unknown day of August 2021, 00:00`, is unknown: half a date is no clock.
    """
    day = _DAY_OF_TRACE.fullmatch(text or "")
    days, iso = (int(day[1]), day[2]) if day else (0, text or "")
    try:
        start = datetime.fromisoformat(iso)
    except ValueError:
        return 0.0
    return (start.replace(tzinfo=UTC) + timedelta(days=days)).timestamp()
