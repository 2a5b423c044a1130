"""Bytes of recorded traffic: compressed or not, in blocks of whole lines, bounded."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa

from autoscaler.model import InvalidInput

BLOCK_BYTES = 4 << 20
"""Read at a time; also the longest line."""
MAX_EXPANDED_BYTES = 64 << 30
"""A compressed file may expand to this much."""
MAX_EXPANSION = 200
"""And to this many times its size, once it is past `BLOCK_BYTES`; text of recorded traffic stays below 50."""


class _Stream(Protocol):
    """Expanded bytes."""

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Compression:
    """A kind of compressed file, told by its first bytes."""

    name: str
    magic: bytes
    expand: Callable[[IO[bytes]], _Stream]


_COMPRESSIONS = (
    _Compression("gzip", b"\x1f\x8b", lambda raw: gzip.GzipFile(fileobj=raw)),
    _Compression("xz", b"\xfd7zXZ\x00", lzma.LZMAFile),
    _Compression("bzip2", b"BZh", bz2.BZ2File),
    _Compression("zstd", b"\x28\xb5\x2f\xfd", lambda raw: pa.CompressedInputStream(pa.PythonFile(raw), "zstd")),
)
_MAGIC_BYTES = max(len(each.magic) for each in _COMPRESSIONS)


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one file."""

    path: Path
    first_line: int
    """Number of the first line, counted from 1."""
    data: bytes


def blocks(path: Path) -> Iterator[Block]:
    """Read a text file in blocks of whole lines; only the file's last line may lack its newline.

    Raises:
        InvalidInput: the file cannot be read, expands beyond the bounds, or has a line longer than `BLOCK_BYTES`.
    """
    first_line, rest = 1, b""
    for chunk in chunks(path):
        data = rest + chunk
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) > BLOCK_BYTES:
            raise InvalidInput(f"{path}:{first_line}: a line longer than {BLOCK_BYTES >> 20} MiB — is this text?")
        rest = data[end:]
        if end:
            yield Block(path, first_line, data[:end])
            first_line += data.count(b"\n", 0, end)
    if rest:
        yield Block(path, first_line, rest)


def head(path: Path) -> bytes:
    """The beginning of the (expanded) file, at most `BLOCK_BYTES`.

    Raises:
        InvalidInput: the file cannot be read.
    """
    return next(chunks(path), b"")


def whole(path: Path, max_bytes: int) -> bytes:
    """The (expanded) file at once.

    Raises:
        InvalidInput: the file cannot be read or is larger than `max_bytes`.
    """
    parts: list[bytes] = []
    size = 0
    for chunk in chunks(path):
        size += len(chunk)
        if size > max_bytes:
            raise InvalidInput(f"{path}: larger than {max_bytes >> 20} MiB, the most that is read of this format")
        parts.append(chunk)
    return b"".join(parts)


def chunks(path: Path) -> Iterator[bytes]:
    """The (expanded) bytes of a file without byte-order mark; its first bytes tell how it is compressed, not its name.

    Raises:
        InvalidInput: the file cannot be read, is damaged, or expands beyond the bounds.
    """
    pieces = _pieces(path)
    yield next(pieces, b"").removeprefix(codecs.BOM_UTF8)
    yield from pieces


def _pieces(path: Path) -> Iterator[bytes]:
    if not path.is_file():
        raise InvalidInput(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as raw:
            first = raw.read(_MAGIC_BYTES)
            raw.seek(0)
            compression = next((each for each in _COMPRESSIONS if first.startswith(each.magic)), None)
            if compression:
                yield from _expanded(path, raw, compression)
                return
            while chunk := raw.read(BLOCK_BYTES):
                yield chunk
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}") from error


def _expanded(path: Path, raw: IO[bytes], compression: _Compression) -> Iterator[bytes]:
    expanded = 0
    try:
        with closing(compression.expand(raw)) as stream:
            while chunk := stream.read(BLOCK_BYTES):
                expanded += len(chunk)
                _refuse_bomb(path, expanded, raw.tell())
                yield chunk
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise InvalidInput(f"{path}: damaged {compression.name} data: {error}") from error


def _refuse_bomb(path: Path, expanded: int, compressed: int) -> None:
    if expanded > MAX_EXPANDED_BYTES:
        raise InvalidInput(f"{path}: expands to more than {MAX_EXPANDED_BYTES >> 30} GiB, the most that is read")
    if expanded > BLOCK_BYTES and expanded > MAX_EXPANSION * compressed:
        raise InvalidInput(
            f"{path}: expands to more than {MAX_EXPANSION} times its size, the most that is read: decompress it first"
        )
