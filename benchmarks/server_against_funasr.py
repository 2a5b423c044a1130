"""Our server against funasr's own on the same model and clips, in turn, closed loop.

    python benchmarks/server_against_funasr.py [--rounds 5] [--requests 800] [--clips DIR]

Both servers run all the time; rounds of load alternate between them. Prints ratios within each round: throughput and
P99 ours / theirs, the median over the rounds, and how long health took to answer under load beside what an idle server
on the same machine took. A round is long enough that eight requests lie beyond its P99.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from server_load import Measured, closed_loop, free_port, idle_server, probing, quantile, server, upload

MODEL = Path(__file__).parents[1] / "tests" / "models" / "sensevoice-digits"
PATH = "/v1/audio/transcriptions"
CLIENTS = (8, 64)


@dataclass
class Target:
    """One server under test."""

    name: str
    command: list[str]
    port: int
    ready: str
    health: str
    model: str

    def requests(self, clips: Sequence[Path]) -> list[bytes]:
        return [upload(self.port, PATH, clip.name, clip.read_bytes(), {"model": self.model}) for clip in clips]


@dataclass
class Round:
    """One server under one load."""

    load: Measured
    health_s: list[float]
    idle_s: list[float]

    def row(self, name: str) -> str:
        cells = [
            self.load.rate_rps,
            *(1e3 * quantile(self.load.latencies_s, share) for share in (0.5, 0.99)),
            *(1e3 * quantile(seconds, share) for seconds in (self.health_s, self.idle_s) for share in (0.5, 0.99)),
            self.load.failures,
        ]
        return f"{name:<18}" + "".join(f"{cell:12.1f}" for cell in cells)


HEADER = " " * 18 + "".join(
    f"{title:>12}"
    for title in ("req/s", "p50 ms", "p99 ms", "health p50", "health p99", "idle p50", "idle p99", "failed")
)


def targets() -> tuple[Target, Target]:
    binaries, theirs, ours = Path(sys.executable).parent, free_port(), free_port()
    funasr = [str(binaries / "funasr-server"), "--host", "127.0.0.1", "--port", str(theirs), "--device", "cpu"]
    own = [str(binaries / "inference-server"), "serve", "--engine", "sensevoice", "--port", str(ours)]
    return (
        Target("funasr", [*funasr, "--model-path", str(MODEL)], theirs, "/health", "/health", "custom"),
        Target("ours", [*own, "-o", f"model={MODEL}"], ours, "/readyz", "/healthz", ""),
    )


def load(target: Target, clips: Sequence[Path], clients: int, total: int, idle: str) -> Round:
    with probing(f"http://127.0.0.1:{target.port}{target.health}", idle) as (health_s, idle_s):
        measured = asyncio.run(closed_loop(target.port, target.requests(clips), clients, total))
    return Round(measured, health_s, idle_s)


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--requests", type=int, default=800)
    arguments.add_argument("--clips", type=Path, default=MODEL / "clips")
    options = arguments.parse_args()
    clips = sorted(options.clips.glob("*.wav"))
    both = targets()
    rounds: dict[tuple[str, int], list[Round]] = {(each.name, clients): [] for each in both for clients in CLIENTS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        idle = stack.enter_context(idle_server())
        for each in both:
            log = folder / each.name
            ready_s = stack.enter_context(server(each.command, each.port, each.ready, log)).ready_s
            print(f"{each.name}: ready after {ready_s:.1f} s")
            asyncio.run(closed_loop(each.port, each.requests(clips), 4, 40))
        print(HEADER)
        for _ in range(options.rounds):
            for clients in CLIENTS:
                for each in both:
                    done = load(each, clips, clients, options.requests, idle)
                    rounds[each.name, clients].append(done)
                    print(done.row(f"{each.name}, {clients} clients"), flush=True)
    for clients in CLIENTS:
        pairs = list(zip(rounds["ours", clients], rounds["funasr", clients], strict=True))
        throughput = [mine.load.rate_rps / other.load.rate_rps for mine, other in pairs]
        p99 = [quantile(mine.load.latencies_s, 0.99) / quantile(other.load.latencies_s, 0.99) for mine, other in pairs]
        health = {name: [s for each in rounds[name, clients] for s in each.health_s] for name in ("ours", "funasr")}
        quiet = [s for mine, _ in pairs for s in mine.idle_s]
        print(
            f"{clients} clients: throughput x {spread(throughput)}, P99 x {spread(p99)}; load {os.getloadavg()[2]:.1f} "
            "over 15 minutes; health P99 over all rounds:"
        )
        print(
            f"  ours {1e3 * quantile(health['ours'], 0.99):.1f} ms, an idle server beside it "
            f"{1e3 * quantile(quiet, 0.99):.1f} ms, funasr's {1e3 * quantile(health['funasr'], 0.99):.1f} ms"
        )


if __name__ == "__main__":
    main()
