"""Writing files whole or not at all, and `-` for the standard output."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autoscaler.files import atomic
from autoscaler.model import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

    from simulations.traffic.trace import Trace

STDOUT = Path("-")
WIDE = 200


def console() -> Console:
    """The standard output for tables: as wide as the terminal, and wide enough where there is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Say on a terminal what takes its time."""
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def write(path: Path, data: bytes) -> None:
    """Write a file through a temporary one beside it; `-` is the standard output.

    Raises:
        InvalidInput: it cannot be written.
    """
    if path == STDOUT:
        sys.stdout.buffer.write(data)
        return
    with atomic(path) as file:
        file.write(data)


def prepare(*paths: Path | None) -> None:
    """Make the folders of outputs, and refuse before the work what could not be written after it.

    Raises:
        InvalidInput: a folder cannot be made or written to, or two outputs share one file.
    """
    wanted = [path for path in paths if path is not None and path != STDOUT]
    problems = [problem for path in wanted if (problem := _problem(path))]
    problems += [f"{path}: named for two outputs" for path, number in Counter(wanted).items() if number > 1]
    if problems:
        raise InvalidInput(*problems)


def prepare_folder(path: Path) -> None:
    """Make a folder for outputs, before the work that fills it.

    Raises:
        InvalidInput: it cannot be made, or not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{path}: is no folder for results: {error.strerror or error}") from error
    if not os.access(path, os.W_OK):
        raise InvalidInput(f"{path}: is no folder for results: no right to write to it")


def warn_of(trace: Trace) -> None:
    """Say what of recorded traffic was not read as it stands."""
    for label in ("malformed", "absent_bins", "missing_samples", "first_row", "eval_start"):
        if label in trace.labels:
            typer.echo(f"{trace.name}: {label.replace('_', ' ')}: {trace.labels[label]}", err=True)
    for line in trace.labels.get("malformed_first", "").splitlines():
        typer.echo(f"  {line}", err=True)


def _problem(path: Path) -> str | None:
    if path.is_dir():
        return f"{path}: is a folder — name a file"
    if path.exists() and not path.is_file():  # a new file would take the place of /dev/null
        return f"{path}: is a device or a pipe — name a file, or - where the standard output is allowed"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{path}: cannot be written: {error.strerror or error}"
    return None if os.access(path.parent, os.W_OK) else f"{path}: cannot be written: no right to write to its folder"
