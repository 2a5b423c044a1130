"""Columns of comma-separated files: read by pyarrow at full speed, with the line of every row that is not right."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from autoscaler.model import InvalidInput
from simulations.traffic.rows import Floats, Rows, Tally
from simulations.traffic.source import Block, blocks

BY_LINE_BYTES = 64 << 10
"""A piece of this size with a malformed line is read line by line."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is read: its name in the file, and what stands in it (float64, timestamp[ns] or string)."""

    name: str
    kind: pa.DataType


def header(line: bytes) -> list[str]:
    """Names in the first line of a file, without surrounding spaces; none in what is no header."""
    text = line.decode("utf-8", "replace")
    try:
        return [name.strip() for name in next(csv.reader([text]), [])]
    except csv.Error:
        return []


def table(path: Path, columns: Sequence[Column], tally: Tally) -> Iterator[Rows]:
    """Read columns of a file whose first line names them; other columns, and blank lines before it, are skipped.

    Times (`timestamp[ns]`) become seconds since the epoch.

    Raises:
        InvalidInput: the file cannot be read, or a column is not there.
    """
    names: list[str] = []
    for block in blocks(path):
        body = block
        if not names:
            begun = block.data.lstrip()
            line = block.first_line + block.data.count(b"\n", 0, len(block.data) - len(begun))
            first, _newline, rest = begun.partition(b"\n")
            names = header(first)
            _require(f"{path}:{line}", names, columns)
            body = Block(path, line + 1, rest)
        yield from _pieces(body, names, columns, tally)


def _require(where: str, names: list[str], columns: Sequence[Column]) -> None:
    for column in columns:
        if names.count(column.name) != 1:
            found = "twice" if column.name in names else "not there"
            raise InvalidInput(f"{where}: column {column.name!r} is {found} — found {', '.join(names)[:200]}")


def _pieces(block: Block, names: list[str], columns: Sequence[Column], tally: Tally) -> Iterator[Rows]:
    """Rows of one block. A block with a malformed line is halved until little is left, and that is read by line."""
    if not block.data:
        return
    lines = block.data.count(b"\n") + (not block.data.endswith(b"\n"))
    try:
        found = _parse(block.data, names, columns)
    except pa.ArrowInvalid:
        found = None
    if found is not None and found.num_rows == lines:
        tally.rows += lines
        numbers = np.arange(block.first_line, block.first_line + lines)
        yield Rows(block.path, numbers, tuple(_array(found.column(column.name)) for column in columns))
    elif len(block.data) > BY_LINE_BYTES and lines > 1:
        middle = block.data.find(b"\n", len(block.data) // 2, len(block.data) - 1) + 1
        middle = middle or block.data.rfind(b"\n", 0, len(block.data) - 1) + 1
        half = Block(block.path, block.first_line, block.data[:middle])
        yield from _pieces(half, names, columns, tally)
        rest = Block(block.path, block.first_line + half.data.count(b"\n"), block.data[middle:])
        yield from _pieces(rest, names, columns, tally)
    else:
        yield _by_line(block, names, columns, tally)


def _by_line(block: Block, names: list[str], columns: Sequence[Column], tally: Tally) -> Rows:
    """The same as `_parse`, and every line that is not right goes to the tally."""
    wanted = [(names.index(column.name), column) for column in columns]
    lines: list[int] = []
    rows: list[tuple[float | str, ...]] = []
    for number, line in enumerate(block.data.split(b"\n"), block.first_line):
        try:
            fields = _fields(line, len(names))
            rows.append(tuple(_value(fields[place], column) for place, column in wanted))
            lines.append(number)
        except (ValueError, csv.Error) as error:
            if line.strip():
                tally.refuse(block.path, number, line, str(error))
    tally.rows += len(rows)
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return Rows(block.path, np.array(lines, dtype=np.int64), tuple(np.array(list(value)) for value in values))


def _fields(line: bytes, number: int) -> list[str]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    fields = next(csv.reader([text], strict=True), [])
    if len(fields) != number:
        raise ValueError(f"{len(fields)} of {number} fields")
    return fields


def _value(text: str, column: Column) -> float | str:
    if pa.types.is_string(column.kind):
        return text
    if pa.types.is_timestamp(column.kind):
        return _seconds(text, column)
    try:
        return float("" if "_" in text else text)  # digits in groups are Python's alone
    except ValueError:
        raise ValueError(f"{column.name}: not a number") from None


def _seconds(text: str, column: Column) -> float:
    zoned = column.kind.tz is not None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{column.name}: not a date") from None
    if zoned != (time.tzinfo is not None):
        raise ValueError(f"{column.name}: a zone in some lines and none in others")
    return (time if zoned else time.replace(tzinfo=UTC)).timestamp()


def _parse(data: bytes, names: list[str], columns: Sequence[Column]) -> pa.Table:
    return pyarrow.csv.read_csv(
        pa.py_buffer(data),
        read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
        parse_options=pyarrow.csv.ParseOptions(ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=[column.name for column in columns],
            column_types={column.name: column.kind for column in columns},
            null_values=[],
        ),
    )


def _array(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_timestamp(column.type):
        nanoseconds: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
        return nanoseconds / 1e9
    values: Floats = column.to_numpy()
    return values
