"""Writing files whole or not at all, and `-` for the standard output."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from autoscaler.model import InvalidInput

STDOUT = Path("-")


def write(path: Path, data: bytes) -> None:
    """Write a file through a temporary one beside it; `-` is the standard output.

    Raises:
        InvalidInput: it cannot be written.
    """
    if path == STDOUT:
        sys.stdout.buffer.write(data)
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written: {error.strerror or error}") from error


def check_writable(*paths: Path | None) -> None:
    """Refuse before the work what could not be written after it.

    Raises:
        InvalidInput: a folder is missing or closed, or two outputs share one file.
    """
    wanted = [path for path in paths if path is not None and path != STDOUT]
    problems = [
        f"{path}: cannot be written: {'no such folder' if not path.parent.is_dir() else 'no right to write'}"
        for path in wanted
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK)
    ]
    problems += [f"{path}: is a folder — name a file" for path in wanted if path.is_dir()]
    if len(set(wanted)) < len(wanted):
        problems.append("two outputs are to go to the same file")
    if problems:
        raise InvalidInput(*problems)
