"""Small files of recorded traffic."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a file, compressed if its name ends in .gz."""

    def write(name: str, text: str | bytes) -> Path:
        data = text if isinstance(text, bytes) else text.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write
