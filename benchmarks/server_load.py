"""A closed-loop HTTP client, light enough to share a machine with the server it measures; the benchmarks use it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import statistics
import subprocess
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_BOUNDARY = "benchmark-boundary"


@dataclass
class Measured:
    """Latencies of one run."""

    latencies_s: list[float] = field(default_factory=list)
    probes_s: list[float] = field(default_factory=list)
    failures: int = 0
    wall_s: float = 0.0

    @property
    def rate_rps(self) -> float:
        return len(self.latencies_s) / self.wall_s

    def row(self, name: str) -> str:
        return (
            f"{name:<22} {self.rate_rps:8.1f} {1e3 * quantile(self.latencies_s, 0.5):8.0f} "
            f"{1e3 * quantile(self.latencies_s, 0.99):8.0f} {1e3 * statistics.median(self.probes_s):10.1f} "
            f"{1e3 * quantile(self.probes_s, 0.99):10.1f} {self.failures:8d}"
        )


HEADER = f"{'':<22} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'health p50':>10} {'health p99':>10} {'failed':>8}"


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def upload(port: int, path: str, name: str, data: bytes, fields: dict[str, str]) -> bytes:
    """One complete HTTP request with a file and form fields."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = b"".join(parts) + head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    start = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n\r\n"
    )
    return start.encode() + body


async def closed_loop(
    port: int, requests: Sequence[bytes], clients: int, total: int, health: str | None = "/healthz"
) -> Measured:
    """`clients` connections, each sending its next request when the last is answered; health is asked beside them."""
    measured = Measured()
    numbers = iter(range(total))
    done = asyncio.Event()

    async def client() -> None:
        connection = _Connection(port)
        for number in numbers:
            begun_s = time.perf_counter()
            status = await connection.ask(requests[number % len(requests)])
            measured.latencies_s.append(time.perf_counter() - begun_s)
            measured.failures += status != 200
        connection.close()

    async def prober() -> None:
        connection = _Connection(port)
        ask = f"GET {health} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        while not done.is_set():
            begun_s = time.perf_counter()
            await connection.ask(ask)
            measured.probes_s.append(time.perf_counter() - begun_s)
            await asyncio.sleep(0.02)
        connection.close()

    probing = asyncio.create_task(prober()) if health else None
    begun_s = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    measured.wall_s = time.perf_counter() - begun_s
    done.set()
    if probing:
        await probing
    return measured


class _Connection:
    """Keep-alive, opened anew when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        lines = head.split(b"\r\n")
        length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
        await reader.readexactly(length)
        if b"connection: close" in lines:
            self.close()
        return int(lines[0].split()[1])

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@contextlib.contextmanager
def server(command: Sequence[str], port: int, ready: str, log: Path) -> Iterator[float]:
    """A server process, ended with the block; yields the seconds that it took to answer `ready` with 200."""
    begun_s = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield time.perf_counter() - begun_s
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
