"""The clock of one process, to be set while it runs; that of the machine stays as it is.

A library that is loaded before all others answers `clock_gettime` for the process: libfaketime's way, in twenty lines.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rig import programs


@dataclass
class SettableClock:
    """A clock that is as far from the machine's as it was set."""

    folder: Path
    environment: Mapping[str, str]
    """Of the process that shall see it."""

    @classmethod
    def make(cls, folder: Path) -> SettableClock:
        """One that goes right.

        Raises:
            programs.Absent: this machine has no compiler for C.
        """
        compiler = shutil.which("cc")
        if compiler is None:
            raise programs.Absent("cc, to set the clock of a process")
        library, offset = folder / "clock.so", folder / "offset"
        source = Path(__file__).with_suffix(".c")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lm"]
        subprocess.run(command, check=True, capture_output=True)
        made = cls(folder, {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)})
        offset.write_bytes(struct.pack("d", 0.0))
        return made

    def set(self, offset_s: float) -> None:
        """Set it so far ahead of the machine's, or behind where it is less than 0."""
        file = os.open(self.folder / "offset", os.O_WRONLY)
        try:
            os.pwrite(file, struct.pack("d", offset_s), 0)
        finally:
            os.close(file)
