"""How the C library treats memory that was freed."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES = 64 << 20
_RETURNED_BYTES = 16 << 20


def keep_freed_memory() -> None:
    """Keep freed blocks of up to 16 MB for the next request, at most 64 MB at the end of each of glibc's heaps.

    By its own rule glibc returns blocks of a few hundred KB as soon as they are freed, and each upload faults its pages
    in again: up to half of the CPU time of a request with 30 s of WAV (docs/server.md). Larger blocks still go back
    at once. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _RETURNED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
