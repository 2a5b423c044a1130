"""The file of forests learned over other services: bounded, without pickle, refused unless its parts fit together."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler.files import packed
from autoscaler.forecast.bins import BINS
from autoscaler.forecast.prior import Prior
from autoscaler.forecast.scalefree import COLUMNS
from autoscaler.forecast.trees import Nodes
from autoscaler.model import InvalidInput

MAX_BYTES = 2 << 20
MAX_UNPACKED_BYTES = 64 << 20
MAX_DEPTH = 64
_KINDS = {"roots": np.int32, "feature": np.int16, "threshold": np.float32, "children": np.int32, "masses": np.uint8}


@dataclass(frozen=True, slots=True)
class Priors:
    """What a file holds.

    Attributes:
        models: one for each length of lead.
        digest: of the file, for the decision log.
    """

    models: tuple[Prior, ...]
    digest: str

    def nearest(self, lead_s: float, interval_s: float) -> Prior | None:
        """The forest for a typical lead time and a length of intervals; None where there is none near enough."""
        fitting = [model for model in self.models if model.serves(lead_s, interval_s)]
        return min(fitting, key=lambda model: model.distance(lead_s), default=None)


def encode(models: tuple[Prior, ...]) -> bytes:
    """The file; equal models give equal bytes."""
    heads = [{"lead_s": model.lead_s, "interval_s": model.interval_s} for model in models]
    arrays: dict[str, npt.NDArray[Any]] = {"models": np.frombuffer(json.dumps(heads).encode(), dtype=np.uint8)}
    for number, model in enumerate(models):
        grown = model.grown
        parts: tuple[npt.NDArray[Any], ...] = (
            grown.roots,
            grown.feature,
            grown.threshold,
            grown.children,
            model.masses,
        )
        arrays |= {f"{number}.{name}": part for name, part in zip(_KINDS, parts, strict=True)}
    return packed(arrays)


def digest(data: bytes) -> str:
    """Name of a file by its content."""
    return hashlib.sha256(data).hexdigest()[:16]


def load(path: Path) -> Priors:
    """Read a file; targets that name the same one share its models.

    Raises:
        InvalidInput: it cannot be read, is too large, or is not what `encode` writes.
    """
    try:
        stat = path.stat()
        return _load(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=8)
def _load(path: Path, _changed_ns: int, size: int) -> Priors:
    if size > MAX_BYTES:
        raise InvalidInput(f"{path}: {size} bytes — at most {MAX_BYTES}")
    data = path.read_bytes()
    try:
        return decode(data)
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path}: holds no forests learned over other services: {error}") from error


def decode(data: bytes) -> Priors:
    """What `encode` wrote.

    Raises:
        ValueError, KeyError, TypeError, zipfile.BadZipFile: it did not.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise ValueError(f"{unpacked} bytes unpacked, at most {MAX_UNPACKED_BYTES}")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        heads = json.loads(arrays["models"].tobytes())
        models = tuple(_model(head, arrays, number) for number, head in enumerate(heads))
    return Priors(models, digest(data))


def _model(head: Mapping[str, float], arrays: Mapping[str, npt.NDArray[Any]], number: int) -> Prior:
    """One model, checked so that a walk stays within its arrays and ends in a leaf."""
    parts = {name: arrays[f"{number}.{name}"] for name in _KINDS}
    for name, kind in _KINDS.items():
        if parts[name].dtype != kind:
            raise ValueError(f"{name} of model {number} is {parts[name].dtype}, allowed is {np.dtype(kind)}")
    roots, feature, threshold, children, masses = (parts[name] for name in _KINDS)
    nodes = len(feature)
    sound = (
        roots.shape == (len(roots),)
        and feature.shape == threshold.shape == (nodes,)
        and children.shape == (2 * nodes,)
        and _within(roots, nodes)
        and _within(children, nodes)
        and _within(feature, COLUMNS)
        and _apart(roots, children)
        and masses.shape == (int((children[::2] == np.arange(nodes)).sum()), 2, BINS)
        and bool(masses.any(axis=2).all())
        and head["lead_s"] > 0
        and head["interval_s"] > 0
    )
    if not sound:
        raise ValueError(f"the parts of model {number} do not fit together")
    grown = Nodes(roots, _depth(roots, children), feature, threshold, children)
    return Prior.of(float(head["lead_s"]), float(head["interval_s"]), grown, masses)


def _within(indices: npt.NDArray[np.integer], count: int) -> bool:
    """Whether there are indices, all of them of an array of this length."""
    return len(indices) > 0 and bool((indices >= 0).all()) and bool((indices < count).all())


def _apart(roots: npt.NDArray[np.int32], children: npt.NDArray[np.int32]) -> bool:
    """Whether each tree begins with its root, the first at 0, and no node has a child in another tree."""
    if roots[0] != 0 or (np.diff(roots) <= 0).any():
        return False
    tree = np.searchsorted(roots, np.arange(len(children) // 2), side="right")
    return bool((tree[children] == np.repeat(tree, 2)).all())


def _depth(roots: npt.NDArray[np.int32], children: npt.NDArray[np.int32]) -> int:
    """Steps to the deepest leaf."""
    nodes = np.unique(roots)
    for depth in range(MAX_DEPTH + 1):
        inner = nodes[children[2 * nodes] != nodes]
        if not len(inner):
            return depth
        nodes = np.unique(children.reshape(-1, 2)[inner])
    raise ValueError(f"trees deeper than {MAX_DEPTH}")
