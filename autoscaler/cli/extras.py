"""Optional parts: what a command needs and the bare installation does not have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autoscaler.model import MissingExtra

_OWN = {"autoscaler", "simulations", "inference_server"}


@contextmanager
def needs(command: str, extra: str) -> Iterator[None]:
    """Imports inside may fail for want of an extra; then say which.

    Raises:
        MissingExtra: a library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OWN:
            raise
        raise MissingExtra(command, extra) from error
