"""Rows of traffic with the lines they stand in, and the lines that are no rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoscaler.model import InvalidInput
from simulations.traffic.source import Block

SHOWN = 5
"""Malformed lines that are shown; the others are counted."""
ALWAYS_ALLOWED = 10
"""A short file may have this many malformed lines, whatever their share, as long as they are fewer than the rows."""
SURE_AFTER = 1_000
"""With this many malformed lines, and most lines malformed, reading on is of no use."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Numbers out of consecutive lines of one file."""

    path: Path
    lines: npt.NDArray[np.int64]
    """Line of each row, counted from 1; shape (rows,)."""
    columns: tuple[Floats, ...]
    """Each of shape (rows,)."""

    def at(self, row: int) -> str:
        """Where a row stands: `file:line`."""
        return f"{self.path}:{self.lines[row]}"


@dataclass(slots=True)
class Tally:
    """Counts the rows that were read and the lines that could not be, and shows the first few of these."""

    max_malformed_ratio: float = 0.01
    rows: int = 0
    malformed: int = 0
    shown: list[str] = field(default_factory=list)

    def refuse(self, path: Path, line: int, text: bytes, why: str = "") -> None:
        """Count a malformed line, and keep for people what is wrong with it.

        Raises:
            InvalidInput: so many lines are malformed that the rest need not be read.
        """
        self.malformed += 1
        if len(self.shown) < SHOWN:
            self.shown.append(f"{path}:{line}: {_excerpt(text)}{f' ({why})' if why else ''}")
        if self.malformed > SURE_AFTER and self.malformed > line / 2:
            raise InvalidInput(f"{path}: {self.malformed} of the first {line} lines are malformed", *self.shown)

    def verdict(self, where: str) -> dict[str, str]:
        """Judge the whole recording: labels that tell of its malformed lines, none if every line was read.

        Args:
            where: the file, for the message.

        Raises:
            InvalidInput: more than `max_malformed_ratio` of the lines and more than ten, or as many as there are rows.
        """
        if not self.malformed:
            return {}
        lines = self.rows + self.malformed
        summary = f"{self.malformed} of {lines} lines are malformed"
        if self.malformed >= self.rows or self.malformed > max(ALWAYS_ALLOWED, self.max_malformed_ratio * lines):
            allowed = f"allowed are {self.max_malformed_ratio:.2%}, or {ALWAYS_ALLOWED} lines among more rows than that"
            raise InvalidInput(f"{where}: {summary} — {allowed}", *self.shown)
        return {"malformed": summary, "malformed_first": "\n".join(self.shown)}


def line_rows(block: Block, time_s: Callable[[bytes], float | None], tally: Tally) -> Rows:
    """Times out of lines that are no table; a line for which `time_s` has none is malformed, a blank one is nothing."""
    times: list[float] = []
    lines: list[int] = []
    for number, line in enumerate(block.data.split(b"\n"), block.first_line):
        time = time_s(line)
        if time is not None:
            times.append(time)
            lines.append(number)
        elif line.strip():
            tally.refuse(block.path, number, line)
    tally.rows += len(times)
    return Rows(block.path, np.array(lines, dtype=np.int64), (np.array(times, dtype=np.float64),))


def _excerpt(text: bytes) -> str:
    words = text.rstrip(b"\r\n").decode("utf-8", "replace")
    return repr(words if len(words) <= 80 else words[:77] + "...")
