"""Batches by length bucket against one clip at a time, in one process, interleaved.

    python benchmarks/server_batching.py [--threads 2] [--rounds 5]

Prints, for queues of equal and of mixed lengths, how many times faster the queue is worked off: median and range of the
rounds, each of which does both one after the other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from inference_server.audio.decode import AudioLimits, decode
from inference_server.engines.recognition import RATE_HZ, Clip, Options
from inference_server.engines.sensevoice import SenseVoice, SenseVoiceSettings
from inference_server.serving.batching import choose_batch
from inference_server.serving.lifecycle import Lifecycle, process_started_s

MODEL = Path(__file__).parents[1] / "tests" / "models" / "sensevoice-digits"


def speech() -> np.ndarray:
    parts = [decode(path.open("rb"), RATE_HZ, AudioLimits()) for path in sorted((MODEL / "clips").glob("*_en.wav"))]
    return np.concatenate(parts * 3)


def queue(lengths_s: list[float]) -> list[Clip]:
    sound = speech()
    return [Clip(sound[: int(seconds * RATE_HZ)], Options()) for seconds in lengths_s]


def one_by_one(engine: SenseVoice, clips: list[Clip]) -> None:
    for clip in clips:
        engine.run([clip])


def in_batches(engine: SenseVoice, clips: list[Clip]) -> None:
    waiting = list(clips)
    while waiting:
        chosen = choose_batch(waiting, engine.batching)
        engine.run([waiting[position] for position in chosen])
        for position in reversed(chosen):
            del waiting[position]


def times_s(
    work: Callable[[SenseVoice, list[Clip]], None], engine: SenseVoice, clips: list[Clip]
) -> tuple[float, float]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work(engine, clips)
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    engine = SenseVoice(SenseVoiceSettings(str(MODEL), threads=options.threads, vad=False))
    engine.load(Lifecycle(process_started_s()).phase)
    queues = {"1 s clips": [1.0] * 64, "2 s clips": [2.0] * 64, "5 s clips": [5.0] * 32}
    for seed in (3, 4, 5):  # median 3 s, as measured traffic
        queues[f"mixed {seed}"] = np.random.default_rng(seed).lognormal(1.1, 0.8, 64).clip(0.5, 20).tolist()
    queues["uniform"] = np.random.default_rng(6).uniform(0.5, 20, 32).tolist()
    for name, lengths_s in queues.items():
        clips = queue(lengths_s)
        pairs = [
            (times_s(one_by_one, engine, clips), times_s(in_batches, engine, clips)) for _ in range(options.rounds)
        ]
        wall, cpu = ([alone[clock] / together[clock] for alone, together in pairs] for clock in (0, 1))
        print(f"{name:<10} {options.threads} threads: wall x {spread(wall)}, CPU x {spread(cpu)}", flush=True)


if __name__ == "__main__":
    main()
