"""Real server processes on free ports."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest


@dataclass
class ServerProcess:
    """One running server.

    Attributes:
        url: where it listens.
    """

    process: subprocess.Popen
    url: str

    def wait_ready(self, within_s: float = 60.0) -> None:
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
            if httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200:
                return
            time.sleep(0.02)
        raise TimeoutError("not ready in time")

    def metric(self, name: str) -> float:
        """Sum of a metric over its label sets."""
        lines = httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    """Start `inference-server serve` with the given arguments; ended at the end of the test."""
    running: list[ServerProcess] = []

    def start(*arguments: str) -> ServerProcess:
        command = [sys.executable, "-c", "from inference_server.cli import main; main()", "serve", "--port", "0"]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        running.append(ServerProcess(process, url))
        assert url.startswith("http://"), process.wait(30)
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(30)
        assert server.process.stdout is not None
        server.process.stdout.close()
