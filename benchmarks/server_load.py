"""A closed-loop HTTP client, light enough to share a machine with the server it measures; the benchmarks use it.

Health is asked by a process of its own: a client that is busy sending sound would see its own delays.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import multiprocessing
import os
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

_BOUNDARY = "benchmark-boundary"


@dataclass
class Measured:
    """Latencies of one run."""

    latencies_s: list[float] = field(default_factory=list)
    failures: int = 0
    wall_s: float = 0.0

    @property
    def rate_rps(self) -> float:
        return len(self.latencies_s) / self.wall_s


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


async def closed_loop(port: int, requests: Sequence[bytes], clients: int, total: int) -> Measured:
    """`clients` connections, each sending its next request when the last is answered."""
    measured = Measured()
    numbers = iter(range(total))

    async def client() -> None:
        connection = KeptAlive(port)
        for number in numbers:
            begun_s = time.perf_counter()
            status = await connection.ask(requests[number % len(requests)])
            measured.latencies_s.append(time.perf_counter() - begun_s)
            measured.failures += status != 200
        connection.close()

    begun_s = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    measured.wall_s = time.perf_counter() - begun_s
    return measured


@contextlib.contextmanager
def probing(*urls: str) -> Iterator[list[list[float]]]:
    """Ask the given URLs in turn, every 20 ms, from another process, as a kubelet does, until the block ends.

    Yields:
        one list for each URL, filled with the seconds to each answer when the block has ended.
    """
    spawn = multiprocessing.get_context("spawn")
    stop, (receive, send) = spawn.Event(), spawn.Pipe(duplex=False)
    prober = spawn.Process(target=_probe, args=(urls, stop, send), daemon=True)
    prober.start()
    answers: list[list[float]] = [[] for _ in urls]
    if not receive.poll(30):
        raise RuntimeError("the prober did not start")
    receive.recv()
    try:
        yield answers
    finally:
        stop.set()
        if receive.poll(60):
            for mine, found in zip(answers, receive.recv(), strict=True):
                mine.extend(found)
        prober.join(10)


def _probe(urls: Sequence[str], stop: Event, send: Connection) -> None:
    parts = [urllib.parse.urlsplit(url) for url in urls]
    connections = [http.client.HTTPConnection(part.hostname or "", part.port, timeout=30) for part in parts]
    answers: list[list[float]] = [[] for _ in urls]
    send.send("begun")
    while not stop.wait(0.02):
        for part, connection, seconds in zip(parts, connections, answers, strict=True):
            begun_s = time.perf_counter()
            connection.request("GET", part.path)
            connection.getresponse().read()
            seconds.append(time.perf_counter() - begun_s)
    send.send(answers)


@contextlib.contextmanager
def idle_server() -> Iterator[str]:
    """An asyncio server in a process of its own that has nothing to do; yields its address.

    What it needs to answer while another server is loaded is what the machine adds to everybody's answers.
    """
    spawn = multiprocessing.get_context("spawn")
    receive, send = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_serve_idle, args=(send,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receive.recv()}/"
    finally:
        process.terminate()
        process.join(10)


def _serve_idle(send: Connection) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        send.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class KeptAlive:
    """A persistent connection, opened anew when the server closes it."""

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


@dataclass(frozen=True)
class Started:
    """A server process that is ready."""

    process: int
    ready_s: float


@contextlib.contextmanager
def server(command: Sequence[str], port: int, ready: str, log: Path) -> Iterator[Started]:
    """A server process, ended with the block; yields it when it has answered `ready` with 200."""
    begun_s = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield Started(process.pid, time.perf_counter() - begun_s)
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
