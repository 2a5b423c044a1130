"""Batches by length bucket against one clip at a time, in one process, interleaved.

    python benchmarks/server_batching.py [--threads 2] [--rounds 5]

Prints, for a queue of 2 s clips and for a queue of mixed lengths, how many times faster the queue is worked off.
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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    engine = SenseVoice(SenseVoiceSettings(str(MODEL), threads=options.threads, vad=False))
    engine.load(Lifecycle(process_started_s()).phase)
    lengths_s = (
        np.random.default_rng(3).lognormal(1.1, 0.8, 64).clip(0.5, 20).tolist()
    )  # median 3 s, as measured traffic
    for name, clips in {
        "2 s clips": queue([2.0] * 64),
        "1 s clips": queue([1.0] * 64),
        "mixed": queue(lengths_s),
    }.items():
        pairs = [
            (times_s(one_by_one, engine, clips), times_s(in_batches, engine, clips)) for _ in range(options.rounds)
        ]
        wall = statistics.median(alone[0] / together[0] for alone, together in pairs)
        cpu = statistics.median(alone[1] / together[1] for alone, together in pairs)
        print(f"{name:<10} {options.threads} threads: wall x {wall:.2f}, CPU x {cpu:.2f}", flush=True)


if __name__ == "__main__":
    main()
