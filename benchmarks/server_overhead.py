"""What the server adds to the model: a request to a recogniser that answers at once, one client, keep-alive.

    python benchmarks/server_overhead.py [--requests 600]

Prints, in milliseconds, the whole request as the client sees it, decoding and the usage record included (median, P99),
and the CPU time of the server for it. The mix is of 60 clips of 2 to 10 s, half of them WAV, the rest MP3, FLAC and Ogg
Opus. Beside it, measured in turn with it: `bare`, the same upload to a FastAPI route that only reads the file, and
`decode`, libsndfile reading the same bytes from memory, with nothing around it.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from fastapi import FastAPI, UploadFile  # here, where FastAPI looks up the names of annotations
from server_load import Measured, closed_loop, free_port, quantile, server, upload

from inference_server.engines.engine import BatchLimits, Kind, Phases
from inference_server.engines.recognition import RATE_HZ, Clip, Heard
from inference_server.serving.lifecycle import Lifecycle, process_started_s
from inference_server.serving.service import Service
from inference_server.telemetry.metrics import Metrics

ROUNDS = 5
PATH = "/v1/audio/transcriptions"
CLIPS = Path(__file__).parents[1] / "tests" / "models" / "sensevoice-digits" / "clips"


class Instant:
    """A recogniser that takes no time."""

    kind: Kind = "recognition"
    model = "instant"
    device = "none"
    slots = 1
    max_clip_s = 60.0
    batching = BatchLimits()

    def load(self, phase: Phases) -> None:
        pass

    def run(self, batch: Sequence[Clip]) -> Sequence[Heard]:
        return [Heard("<|en|><|NEUTRAL|><|Speech|><|withitn|>one two three") for _ in batch]


def serve_ours(port: int) -> None:
    from inference_server.api.app import make_app
    from inference_server.api.connections import ConnectionLimits
    from inference_server.api.process import DrainLimits, bind, serve
    from inference_server.telemetry.logs import configure_logging

    configure_logging("info", None)
    service = Service(Instant(), Metrics("instant", ()), Lifecycle(process_started_s()))
    serve(make_app(service), service, bind("127.0.0.1", port), ConnectionLimits(10**6, 3600.0), DrainLimits(0.0, 5.0))


def serve_bare(port: int) -> None:
    import uvicorn

    app = FastAPI()

    @app.get("/readyz")
    async def ready() -> None:
        pass

    @app.post(PATH)
    async def read(file: UploadFile) -> dict[str, int]:
        return {"bytes": len(await file.read())}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


@cache
def speech() -> np.ndarray:
    return np.concatenate([soundfile.read(path, dtype="float32")[0] for path in sorted(CLIPS.glob("*.wav"))])


def sound(seconds: float, kind: str) -> bytes:
    """Spoken digits; the container, and its encoding where that is not the usual one."""
    container, _, encoding = kind.partition(" ")
    file = io.BytesIO()
    samples = np.resize(speech(), int(seconds * RATE_HZ))
    soundfile.write(file, samples, RATE_HZ, format=container, subtype=encoding or None)
    return file.getvalue()


def uploads() -> dict[str, list[bytes]]:
    """What is uploaded, by name; the mix is sent in turn."""
    alike = ((2.0, "WAV"), (10.0, "WAV"), (30.0, "WAV"), (2.0, "FLAC"), (2.0, "MP3"), (10.0, "MP3"), (10.0, "OGG OPUS"))
    lengths_s = np.random.default_rng(0).uniform(2.0, 10.0, 60)
    kinds = ("WAV", "MP3", "WAV", "FLAC", "WAV", "OGG OPUS")
    mixed = [sound(seconds, kind) for seconds, kind in zip(lengths_s, itertools.cycle(kinds), strict=False)]
    return {f"{seconds:g} s {kind}": [sound(seconds, kind)] for seconds, kind in alike} | {"2-10 s mixed": mixed}


def cpu_s(process: int) -> float:
    """CPU time of a process so far: fields 14 and 15 of its stat (man 5 proc)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def decode_ms(bodies: Sequence[bytes]) -> float:
    """Median over 60 times."""

    def once(data: bytes) -> float:
        begun_s = time.perf_counter()
        soundfile.read(io.BytesIO(data), dtype="float32")
        return time.perf_counter() - begun_s

    return 1e3 * statistics.median(once(data) for data in itertools.islice(itertools.cycle(bodies), 60))


@dataclass(frozen=True)
class Target:
    """A server to be measured."""

    port: int
    process: int

    def measure(self, bodies: Sequence[bytes], total: int) -> tuple[Measured, float]:
        """Latencies, and the server's CPU time for each request in milliseconds."""
        requests = [upload(self.port, PATH, "a", data, {}) for data in bodies]
        begun_s = cpu_s(self.process)
        measured = asyncio.run(closed_loop(self.port, requests, 1, total))
        return measured, 1e3 * (cpu_s(self.process) - begun_s) / total


def row(name: str, bodies: Sequence[bytes], ours: Target, bare: Target, total: int) -> str:
    """One line; both servers are measured in turn, in rounds."""
    latencies: dict[Target, list[float]] = {ours: [], bare: []}
    cpu_ms: dict[Target, list[float]] = {ours: [], bare: []}
    for target in (ours, bare):
        target.measure(bodies, 60)  # warms up
    for _ in range(ROUNDS):
        for target in (ours, bare):
            measured, used_ms = target.measure(bodies, total // ROUNDS)
            if measured.failures:
                raise RuntimeError(f"{measured.failures} requests failed")
            latencies[target] += measured.latencies_s
            cpu_ms[target].append(used_ms)
    shown = [f"{1e3 * quantile(latencies[ours], share):8.2f}" for share in (0.5, 0.99)]
    shown += [f"{statistics.mean(cpu_ms[ours]):8.2f}", f"{1e3 * quantile(latencies[bare], 0.5):10.2f}"]
    return f"{name:<14}{''.join(shown)}{decode_ms(bodies):10.2f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=600)
    arguments.add_argument("--serve", choices=("ours", "bare"), help=argparse.SUPPRESS)
    arguments.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.serve:
        {"ours": serve_ours, "bare": serve_bare}[options.serve](options.port)
        return
    print(f"{'ms':<14}{'p50':>8}{'p99':>8}{'CPU':>8}{'bare p50':>10}{'decode':>10}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = []
        for name in ("ours", "bare"):
            port = free_port()
            command = [sys.executable, __file__, "--serve", name, "--port", str(port)]
            started = stack.enter_context(server(command, port, "/readyz", folder / name))
            targets.append(Target(port, started.process))
        for name, bodies in uploads().items():
            print(row(name, bodies, *targets, options.requests), flush=True)


if __name__ == "__main__":
    main()
