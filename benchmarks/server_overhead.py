"""What the server adds to the model: a request to a recogniser that answers at once, one client, keep-alive.

    python benchmarks/server_overhead.py [--requests 300]

Prints the median and P99 of the whole request as the client sees it, decoding included, beside the same upload to a
bare FastAPI route that only reads the file: the price of the framework.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile
from server_load import Measured, closed_loop, free_port, quantile, server, upload

from inference_server.engines.engine import BatchLimits, Kind, Phases
from inference_server.engines.recognition import RATE_HZ, Clip, Heard
from inference_server.serving.lifecycle import Lifecycle, process_started_s
from inference_server.serving.service import Service
from inference_server.telemetry.metrics import Metrics

PATH = "/v1/audio/transcriptions"


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

    service = Service(Instant(), Metrics("instant", ()), Lifecycle(process_started_s()))
    serve(make_app(service), service, bind("127.0.0.1", port), ConnectionLimits(10**6, 3600.0), DrainLimits(0.0, 5.0))


def serve_bare(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI, UploadFile

    app = FastAPI()

    @app.get("/readyz")
    async def ready() -> None:
        pass

    @app.post(PATH)
    async def read(file: UploadFile) -> dict[str, int]:
        return {"bytes": len(await file.read())}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def sound(seconds: float, kind: str) -> bytes:
    noise = np.random.default_rng(0).normal(0, 0.05, int(seconds * RATE_HZ)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise, RATE_HZ, format=kind)
    return file.getvalue()


def row(name: str, measured: Measured, bare: Measured) -> str:
    own, floor = ([1e3 * quantile(each.latencies_s, share) for share in (0.5, 0.99)] for each in (measured, bare))
    return f"{name:<12}{own[0]:10.2f}{own[1]:10.2f}{floor[0]:12.2f}{floor[1]:10.2f}{measured.failures:8}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=300)
    arguments.add_argument("--serve", choices=("ours", "bare"), help=argparse.SUPPRESS)
    arguments.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.serve:
        {"ours": serve_ours, "bare": serve_bare}[options.serve](options.port)
        return
    print(f"{'ms':<12}{'ours p50':>10}{'p99':>10}{'bare p50':>12}{'p99':>10}{'failed':>8}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = {}
        for name in ("ours", "bare"):
            ports[name] = free_port()
            command = [sys.executable, __file__, "--serve", name, "--port", str(ports[name])]
            stack.enter_context(server(command, ports[name], "/readyz", folder / name))
        for seconds, kind in ((2.0, "WAV"), (10.0, "WAV"), (30.0, "WAV"), (2.0, "FLAC"), (2.0, "MP3"), (10.0, "MP3")):
            data = sound(seconds, kind)
            measured = {}
            for name, port in ports.items():
                requests = [upload(port, PATH, "a", data, {})]
                asyncio.run(closed_loop(port, requests, 1, 20))
                measured[name] = asyncio.run(closed_loop(port, requests, 1, options.requests))
            print(row(f"{seconds:g} s {kind}", measured["ours"], measured["bare"]), flush=True)


if __name__ == "__main__":
    main()
