"""Our server against funasr's own on the same model and clips, one after the other, closed loop.

    python benchmarks/server_against_funasr.py [--requests 400] [--clips DIR]

Prints ratios: throughput ours / theirs, P99 ours / theirs, and how long health took to answer under load.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
from pathlib import Path

from server_load import HEADER, Measured, closed_loop, quantile, server, upload

MODEL = Path(__file__).parents[1] / "tests" / "models" / "sensevoice-digits"
PATH = "/v1/audio/transcriptions"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(
    command: list[str], port: int, health: str, model: str, clips: list[Path], total: int
) -> dict[int, Measured]:
    requests = [upload(port, PATH, clip.name, clip.read_bytes(), {"model": model}) for clip in clips]
    with tempfile.TemporaryDirectory() as folder, server(command, port, health, Path(folder) / "log") as ready_s:
        print(f"{Path(command[0]).name}: ready after {ready_s:.1f} s")
        asyncio.run(closed_loop(port, requests, 4, 40))
        probe = "/healthz" if health == "/readyz" else health
        return {clients: asyncio.run(closed_loop(port, requests, clients, total, probe)) for clients in (1, 8, 64)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=400)
    arguments.add_argument("--clips", type=Path, default=MODEL / "clips")
    options = arguments.parse_args()
    clips = sorted(options.clips.glob("*.wav"))
    binaries = Path(sys.executable).parent
    port = free_port()
    theirs_command = [str(binaries / "funasr-server"), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    theirs = measure([*theirs_command, "--model-path", str(MODEL)], port, "/health", "custom", clips, options.requests)
    port = free_port()
    ours_command = [str(binaries / "inference-server"), "serve", "--engine", "sensevoice", "--port", str(port)]
    ours = measure([*ours_command, "-o", f"model={MODEL}"], port, "/readyz", "", clips, options.requests)
    print(HEADER)
    for clients, mine in ours.items():
        other = theirs[clients]
        print(other.row(f"funasr, {clients} clients"))
        print(mine.row(f"ours, {clients} clients"))
        throughput = mine.rate_rps / other.rate_rps
        p99 = quantile(mine.latencies_s, 0.99) / quantile(other.latencies_s, 0.99)
        print(f"  throughput x {throughput:.2f}, P99 x {p99:.2f}")


if __name__ == "__main__":
    main()
