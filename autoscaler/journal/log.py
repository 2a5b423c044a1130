"""The decision log: one JSON object a line, in the order of the ticks.

The first line of every file is a header; each further line is one `Tick` with everything that was seen, or says how
a target began and what past it learned from (`beginnings.py`), so that a log can be run again and gives the same
decisions. A line is written whole or not at all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError

from autoscaler.journal.beginnings import Began, Learned
from autoscaler.model import Fitted, InvalidInput, Observation, Tick

FORMAT = "speech-autoscaler/decision-log"
VERSION = 1
MAX_LINE_BYTES = 4_000_000
LAST_S = 253_402_300_800.0
"""Begin of the year 10000, which calendars cannot say."""

Record = Began | Learned | Tick

_tick = TypeAdapter(Tick)
_others: tuple[tuple[str, TypeAdapter[Began] | TypeAdapter[Learned]], ...] = (
    ("began", TypeAdapter(Began)),
    ("learned", TypeAdapter(Learned)),
)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log file is closed and how many closed ones stay."""

    max_bytes: int = 64_000_000
    keep: int = 8


def _header() -> bytes:
    return orjson.dumps({"format": FORMAT, "version": VERSION}) + b"\n"


def encode(tick: Tick) -> bytes:
    """One line of the log, with its newline. The same tick gives the same bytes.

    Of a model that was adopted only the digest is kept: a replay learns it again.
    """
    seen = tick.seen
    if isinstance(seen, Observation) and seen.fitted is not None:
        tick = replace(tick, seen=replace(seen, fitted=Fitted(seen.fitted.digest, None)))
    return orjson.dumps(tick, option=orjson.OPT_APPEND_NEWLINE)


def decode(line: bytes) -> Tick:
    """The tick of one line.

    Raises:
        ValidationError: the line is no tick of this format.
    """
    return _tick.validate_json(line)


class JsonlJournal:
    """Appends ticks to a file and rotates it. A full disk costs log lines, never a decision. Any thread may write.

    Raises:
        InvalidInput: the file cannot be opened, or is another one.

    Attributes:
        lost: lines that could not be written.
    """

    def __init__(self, path: Path, rotation: Rotation | None = None) -> None:
        self._path = path
        self._rotation = rotation or Rotation()
        try:
            self._file = _open(path)
        except OSError as error:
            raise InvalidInput(f"{path}: the decision log cannot be written: {error.strerror or error}") from error
        self._bytes = _mended(self._file, path)
        self._writing = threading.Lock()
        self.lost = 0

    def append(self, tick: Tick) -> None:
        """Write one tick; what cannot be written is counted and said once a streak."""
        self._append(encode(tick))

    def note(self, other: Began | Learned) -> None:
        """Write how a target began, or what it learned of the past; as with a tick, a full disk is no error."""
        kind = "began" if isinstance(other, Began) else "learned"
        self._append(orjson.dumps({kind: other}, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _append(self, line: bytes) -> None:
        with self._writing:
            try:
                if self._bytes + len(line) > self._rotation.max_bytes:
                    self._rotate()
                self._write(line if self._bytes else _header() + line)
            except OSError as error:
                if not self.lost:
                    _log.warning("decision log cannot be written", path=str(self._path), error=str(error))
                self.lost += 1

    def _write(self, data: bytes) -> None:
        """Append all of it; what was written of a line that does not fit is taken back."""
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._bytes)
            raise
        self._bytes += written

    def _rotate(self) -> None:
        """`log` becomes `log.1`, `log.1` becomes `log.2`, and so on; the oldest goes.

        Where somebody took `log` away, or a new one could not be opened after it was renamed, the others stay.
        """
        if self._path.exists():
            for number in range(self._rotation.keep - 1, 0, -1):
                older = _numbered(self._path, number)
                if older.exists():
                    older.replace(_numbered(self._path, number + 1))
            self._path.replace(_numbered(self._path, 1))
        before, self._file = self._file, _open(self._path)
        os.close(before)
        self._bytes = 0


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)


def _mended(file: int, path: Path) -> int:
    """The length of a log without what follows its last whole line: the machine may have stopped in the middle of one.

    Raises:
        InvalidInput: it is another file.
    """
    length = os.fstat(file).st_size
    if not length:
        return 0  # new, or no file at all: a pipe has nothing to be read again
    header = _header()
    if not header.startswith(os.pread(file, len(header), 0)):
        raise InvalidInput(f"{path}: not a decision log, and nothing is appended to it — name a file of its own")
    tail = os.pread(file, MAX_LINE_BYTES, max(0, length - MAX_LINE_BYTES))
    whole = length - (len(tail) - tail.rfind(b"\n") - 1)
    if whole < length:
        os.ftruncate(file, whole)
        _log.warning("decision log ended in the middle of a line", path=str(path), bytes=length - whole)
    return whole


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def read(path: Path) -> Iterator[Tick]:
    """The ticks of a log, oldest first; raises as `records` does."""
    return (record for record in records(path) if isinstance(record, Tick))


def records(path: Path) -> Iterator[Record]:
    """Everything that a log says, oldest first.

    A last line without its newline (a writer that died) is left out.

    Raises:
        InvalidInput: no such file, another format, or a line that is no tick, with its number.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(
            f"{path}: {error.strerror} — give a decision log, as `autoscaler replay --journal` writes"
        ) from error
    with file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
            if number == 1:
                _check_header(path, line)
                continue
            if not line.endswith(b"\n"):
                if len(line) == MAX_LINE_BYTES:
                    raise InvalidInput(f"{path}:{number}: a line of over {MAX_LINE_BYTES} bytes is no tick")
                return
            yield _decoded(path, number, line)


def _check_header(path: Path, line: bytes) -> None:
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InvalidInput(f"{path}:1: not a decision log — its first line is {_header().decode().strip()}")
    if header.get("version") != VERSION:
        raise InvalidInput(f"{path}:1: version: {header.get('version')} — this program reads version {VERSION}")


def _decoded(path: Path, number: int, line: bytes) -> Record:
    try:
        for kind, adapter in _others:
            opening = f'{{"{kind}":'.encode()
            if line.startswith(opening):
                return adapter.validate_json(line[len(opening) :].rstrip()[:-1])
        tick = decode(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join([f"{path}:{number}", *filter(None, [".".join(map(str, first["loc"]))])])
        raise InvalidInput(f"{where}: {first['msg']}") from error
    if isinstance(tick.seen, Observation) and not 0.0 <= tick.seen.at_s < LAST_S:
        raise InvalidInput(f"{path}:{number}: seen.at_s: {tick.seen.at_s} — seconds since the epoch, before {LAST_S:g}")
    stages = [step.stage for step in tick.decision.steps] if tick.decision else []
    if tick.decision and tick.decision.ruled_by not in stages:
        allowed = ", ".join(stages) or "a stage, but there is none"
        raise InvalidInput(f"{path}:{number}: decision.ruled_by: {tick.decision.ruled_by} — one of {allowed}")
    return tick
