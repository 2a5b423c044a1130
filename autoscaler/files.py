"""Files that appear whole or not at all, and arrays as bytes that depend on nothing but the arrays."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from autoscaler.model import InvalidInput


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only when all of it is written and on disk.

    Raises:
        InvalidInput: it cannot be written there.
    """
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written: {error.strerror or error}") from error


def packed(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays as numpy's `load` reads them, by name; equal ones give equal bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # of 1980: no time of day gets into the bytes
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return file.getvalue()
