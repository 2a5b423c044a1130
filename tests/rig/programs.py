"""Where the real servers of the tests are found."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class Absent(Exception):
    """A program is not on this machine; the message says how to get it."""


def shared() -> Path:
    """The folder of everything that is not part of the repository: SPEECH_SHARED, or ../shared."""
    return Path(os.environ.get("SPEECH_SHARED", REPOSITORY.parent / "shared"))


@cache
def unpacked(archive: str) -> Path:
    """The folder of one of the archives under `servers`, unpacked.

    Raises:
        Absent: there is no such archive.
    """
    unpack = shared() / "servers" / "unpack"
    if not unpack.exists():
        raise Absent(f"no {unpack} (SPEECH_SHARED names another folder)")
    return Path(subprocess.run([unpack, archive], check=True, capture_output=True, text=True).stdout.strip())


def kubernetes(program: str) -> Path:
    """A program of the control plane: from KUBEBUILDER_ASSETS, or from the shared servers.

    Raises:
        Absent: neither has it.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    try:
        folder = Path(assets) if assets else unpacked("kubernetes") / "bin"
    except Absent as missing:
        raise Absent(f"{missing}; or `setup-envtest use` and KUBEBUILDER_ASSETS") from None
    if not (folder / program).exists():
        raise Absent(f"no {program} in {folder}")
    return folder / program


def prometheus(version: str) -> Path:
    """Prometheus "2" is the one that is installed (Debian's package), "3" the one of the shared servers.

    Raises:
        Absent: this machine does not have it.
    """
    if version == "3":
        return unpacked("prometheus") / "bin" / "prometheus"
    installed = shutil.which("prometheus")
    if installed is None:
        raise Absent("no prometheus: apt-get install prometheus")
    return Path(installed)
