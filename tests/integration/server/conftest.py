"""Real server processes on free ports."""

from __future__ import annotations

import contextlib
import csv
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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

    def mean_phase_s(self, phase: str) -> float:
        """Mean of one phase of all requests."""
        lines = httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        values = {
            line.partition("{")[0]: float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith("speech_phase_seconds") and f'phase="{phase}"' in line
        }
        return values["speech_phase_seconds_sum"] / values["speech_phase_seconds_count"]

    def metric(self, name: str) -> float:
        """Sum of a metric over its label sets."""
        lines = httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)


class Processes:
    """Starts servers, and ends what still runs."""

    def __init__(self) -> None:
        self._running: list[ServerProcess] = []

    def start(self, *arguments: str) -> ServerProcess:
        """`inference-server serve` with the given arguments, on a free port."""
        command = [sys.executable, "-c", "from inference_server.cli import main; main()", "serve", "--port", "0"]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        self._running.append(ServerProcess(process, url))
        assert url.startswith("http://"), process.wait(30)
        return self._running[-1]

    def close(self) -> None:
        for server in self._running:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait(30)
            assert server.process.stdout is not None
            server.process.stdout.close()


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    """Start servers that end with the test."""
    with contextlib.closing(Processes()) as processes:
        yield processes.start


MODELS = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class DigitClip:
    """One recorded clip with its labels."""

    path: Path
    language: str
    words: str
    digits: str


@pytest.fixture(scope="session")
def digit_clips() -> list[DigitClip]:
    """The 60 clips of the digits model."""
    folder = MODELS / "sensevoice-digits"
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as table:
        return [
            DigitClip(folder / "clips" / row["file"], row["language"], row["text"], row["digits"])
            for row in csv.DictReader(table)
        ]


@pytest.fixture(scope="session")
def digits_server() -> Iterator[ServerProcess]:
    """A ready server with the digits model, shared by the tests that leave it as it is."""
    with contextlib.closing(Processes()) as processes:
        model = MODELS / "sensevoice-digits"
        server = processes.start("--engine", "sensevoice", "-o", f"model={model}", "--max-wait-s", "60")
        server.wait_ready(120)
        yield server


@pytest.fixture(scope="session")
def emotivoice_server() -> Iterator[ServerProcess]:
    """A ready server with the tiny EmotiVoice, shared by the tests that leave it as it is."""
    with contextlib.closing(Processes()) as processes:
        server = processes.start("--engine", "emotivoice", "-o", f"model={MODELS / 'emotivoice-tiny'}")
        server.wait_ready(120)
        yield server


SHARED = Path(os.environ.get("SPEECH_SHARED", Path(__file__).parents[4] / "shared")) / "servers"


def unpacked(name: str) -> Path:
    """The folder of one of the servers that no package brings; skips where they are not."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}: set SPEECH_SHARED")
    ran = subprocess.run([SHARED / "unpack", name], capture_output=True, text=True, check=True, timeout=120)
    return Path(ran.stdout.strip())


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_open(port: int, process: subprocess.Popen, within_s: float = 60.0) -> None:
    """Until somebody listens."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        assert process.poll() is None, f"ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")


@pytest.fixture
def s3_bucket(tmp_path, monkeypatch) -> Iterator[str]:
    """The URL of an empty bucket in a real S3 server; its credentials stand in the environment."""
    from minio import Minio

    port = free_port()
    (tmp_path / "s3").mkdir()
    environment = {**os.environ, "ROOT_ACCESS_KEY": "tester", "ROOT_SECRET_KEY": "tester-secret"}
    command = [unpacked("s3") / "bin" / "versitygw", "--port", f"127.0.0.1:{port}", "posix", tmp_path / "s3"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_open(port, process)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tester-secret")
        client = Minio(f"127.0.0.1:{port}", "tester", "tester-secret", secure=False, region="us-east-1")
        client.make_bucket("results")
        yield f"s3://127.0.0.1:{port}/results?tls=false"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def new_port() -> Callable[[], int]:
    """Gives a port that nobody listens on at the moment, for programs that cannot take port 0."""
    return free_port


@pytest.fixture(scope="session")
def shared_servers() -> Path:
    """The folder of the servers that no package brings; skips where it is not."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}: set SPEECH_SHARED")
    return SHARED
