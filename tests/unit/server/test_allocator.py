"""Freed memory stays with the process, up to a bound."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from pathlib import Path
from inference_server.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

def request():
    return [b"x" * int(sys.argv[1]) for _ in range(4)]

keep_freed_memory()
before = resident()
request()
kept = resident() - before
before = faults()
for _ in range(10):
    request()
print((faults() - before) / 10, kept)
"""
PAGE_BYTES = 4096

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")


def pages_of_four_blocks(block_bytes: int) -> tuple[float, int]:
    """Of a process that allocates and frees them: pages it faults in anew each time, and pages it keeps."""
    command = [sys.executable, "-c", PROGRAM, str(block_bytes)]
    again, kept = subprocess.run(command, capture_output=True, check=True).stdout.split()
    return float(again), int(kept)


def test_the_pages_of_freed_uploads_and_clips_are_there_for_the_next_request() -> None:
    again, _ = pages_of_four_blocks(1 << 20)
    assert again < 0.1 * 4 * (1 << 20) / PAGE_BYTES


def test_larger_blocks_go_back_at_once() -> None:
    _, kept = pages_of_four_blocks(32 << 20)
    assert kept < 0.1 * (32 << 20) / PAGE_BYTES
