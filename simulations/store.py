"""Finished replays on disk, each under the hash of everything that it depends on."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from autoscaler.files import atomic
from autoscaler.model import InvalidInput
from simulations.result import Change, Figures, Result, Timeline

_SCALARS = ("step_s", "start_s")
_SERIES = tuple(field.name for field in fields(Timeline) if field.name not in _SCALARS)
_OF_NO_EFFECT = {"cli", "report", "service", "cluster", "prometheus", "testing"}
"""Packages that no replay's result depends on."""
_LIBRARIES = ("numpy", "numba", "scikit-learn")


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of results. A file appears whole or not at all."""

    folder: Path

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists()

    def save(self, key: str, result: Result) -> None:
        """Keep a result.

        Raises:
            InvalidInput: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"{self.folder}: results cannot be kept here: {error.strerror or error}") from error
        with atomic(self._path(key)) as file:
            file.write(encode(result))

    def figures(self, key: str) -> Figures:
        """The figures alone; the timeline is not read.

        Raises:
            InvalidInput: the file is damaged.
        """
        with self._intact(key) as path, path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return Figures(**_record(archive)["figures"])

    def load(self, key: str) -> Result:
        """A result as it was saved.

        Raises:
            InvalidInput: the file is damaged.
        """
        with self._intact(key) as path:
            return decode(path.read_bytes())

    @contextmanager
    def _intact(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        try:
            yield path
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise InvalidInput(f"{path}: damaged — remove it, and the same command replays it again") from error

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def encode(result: Result) -> bytes:
    """Exact numbers, no pickle: arrays as they are, the rest as JSON beside them."""
    record = {
        "figures": asdict(result.figures),
        "changes": [asdict(change) for change in result.changes],
        "timeline": {name: getattr(result.timeline, name) for name in _SCALARS},
    }
    series = {name: getattr(result.timeline, name) for name in _SERIES}
    text = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, record=text, **series)
    return file.getvalue()


def decode(data: bytes) -> Result:
    """The result that `encode` wrote.

    Raises:
        ValueError, KeyError: it did not.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        record = _record(archive)
        timeline = Timeline(**record["timeline"], **{name: archive[name] for name in _SERIES})
    return Result(Figures(**record["figures"]), timeline, tuple(map(_change, record["changes"])))


def _record(archive: Any) -> dict[str, Any]:  # noqa: ANN401 -- what numpy opens has no type of its own
    record: dict[str, Any] = json.loads(archive["record"].tobytes())
    return record


def _change(record: dict[str, Any]) -> Change:
    reasons = tuple((stage, serving, standby, reason) for stage, serving, standby, reason in record.pop("reasons"))
    return Change(**record, reasons=reasons)


@cache
def code_version() -> str:
    """Hash of the code that results come out of, and of the libraries that compute in it.

    A result of other code is never taken for one of this code, released or not.
    """
    digest = hashlib.sha256()
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    for package in ("autoscaler", "simulations"):
        root = Path(str(files(package)))
        for path in _sources(root):
            digest.update(f"{package}/{path.relative_to(root)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in _OF_NO_EFFECT:
            yield path
