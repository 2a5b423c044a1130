"""Bytes of recorded traffic: gzip or not, in blocks of whole lines, bounded."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoscaler.model import InvalidInput

BLOCK_BYTES = 4 << 20
"""Read at a time; also the longest line."""
MAX_EXPANDED_BYTES = 64 << 30
"""A gzip file may expand to this much."""
MAX_EXPANSION = 200
"""And to this many times its size, once it is past `BLOCK_BYTES`; text of recorded traffic stays below 50."""

GZIP_MAGIC = b"\x1f\x8b"


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
    """The (expanded) bytes of a file; gzip is told by its first bytes, not by its name.

    Raises:
        InvalidInput: the file cannot be read, is damaged, or expands beyond the bounds.
    """
    if not path.is_file():
        raise InvalidInput(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if not zipped:
                while chunk := raw.read(BLOCK_BYTES):
                    yield chunk
                return
            expanded = 0
            with gzip.GzipFile(fileobj=raw) as stream:
                while chunk := stream.read(BLOCK_BYTES):
                    expanded += len(chunk)
                    _refuse_bomb(path, expanded, raw.tell())
                    yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInput(f"{path}: damaged gzip data: {error}") from error
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}") from error


def _refuse_bomb(path: Path, expanded: int, compressed: int) -> None:
    if expanded > MAX_EXPANDED_BYTES:
        raise InvalidInput(f"{path}: expands to more than {MAX_EXPANDED_BYTES >> 30} GiB, the most that is read")
    if expanded > BLOCK_BYTES and expanded > MAX_EXPANSION * compressed:
        raise InvalidInput(
            f"{path}: expands to more than {MAX_EXPANSION} times its size, the most that is read: decompress it first"
        )
