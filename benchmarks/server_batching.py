"""Batches as the server makes them against one clip at a time, in one process.

    python benchmarks/server_batching.py [--threads 2] [--rounds 5] [--size full] [--queues uniform,mixed]

Prints, for queues of equal and of mixed lengths, how many times faster the queue is worked off: median and range of the
rounds, in wall and CPU time. In a round, each batch and its clips one by one run right after each other, in alternating
order, so that a disturbance meets both. A clip that runs alone is the same call either way: it is timed once and counts
for both. `worst` is the shared batch that gains least: the median of its rounds, in CPU time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from batch_sizes import full_size_sensevoice

from inference_server.audio.decode import AudioLimits, decode
from inference_server.engines.recognition import RATE_HZ, Clip, Options
from inference_server.engines.sensevoice import SenseVoice, SenseVoiceSettings
from inference_server.serving.batching import choose_batch
from inference_server.serving.lifecycle import Lifecycle, process_started_s

MODEL = Path(__file__).parents[1] / "tests" / "models" / "sensevoice-digits"


@dataclass(frozen=True)
class Times:
    """Seconds of one piece of work."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: Times) -> Times:
        return Times(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


Pair = tuple[Times, Times]
"""One by one, and as a batch."""


def speech() -> np.ndarray:
    parts = [decode(path.read_bytes(), RATE_HZ, AudioLimits()) for path in sorted((MODEL / "clips").glob("*_en.wav"))]
    return np.concatenate(parts * 3)


def queues() -> dict[str, list[float]]:
    """Lengths in seconds."""
    made = {"1 s": [1.0] * 64, "2 s": [2.0] * 64, "5 s": [5.0] * 32}
    for seed in (3, 4, 5):  # median 3 s, as measured traffic
        made[f"mixed {seed}"] = np.random.default_rng(seed).lognormal(1.1, 0.8, 64).clip(0.5, 20).tolist()
    for seed in (6, 7):
        made[f"uniform {seed}"] = np.random.default_rng(seed).uniform(0.5, 20, 32).tolist()
    return made


def in_batches(engine: SenseVoice, lengths_s: list[float]) -> list[list[Clip]]:
    """The batches that the server makes of a queue that is there at once."""
    sound = speech()
    waiting = [Clip(sound[: int(seconds * RATE_HZ)], Options()) for seconds in lengths_s]
    batches = []
    while waiting:
        chosen = choose_batch(waiting, engine.batching)
        batches.append([waiting[position] for position in chosen])
        for position in reversed(chosen):
            del waiting[position]
    return batches


def timed(work: Callable[[], object]) -> Times:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Times(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def compared(engine: SenseVoice, batch: list[Clip], *, batch_first: bool) -> Pair:
    def together() -> Times:
        return timed(lambda: engine.run(batch))

    def alone() -> Times:
        return timed(lambda: [engine.run([clip]) for clip in batch])

    if len(batch) == 1:
        same = together()
        return same, same
    if batch_first:
        second = together()
        return alone(), second
    return alone(), together()


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def report(name: str, engine: SenseVoice, lengths_s: list[float], rounds: int) -> None:
    batches = in_batches(engine, lengths_s)
    for batch in batches:
        engine.run(batch)  # the first call of a shape allocates
    measured = [[compared(engine, each, batch_first=bool(turn % 2)) for each in batches] for turn in range(rounds)]
    totals = [(sum_of(alone for alone, _ in one), sum_of(together for _, together in one)) for one in measured]
    wall = spread([alone.wall_s / together.wall_s for alone, together in totals])
    cpu = spread([alone.cpu_s / together.cpu_s for alone, together in totals])
    shared = [batch for batch in batches if len(batch) > 1]
    gains = [
        statistics.median(alone.cpu_s / together.cpu_s for alone, together in rounds_of_one)
        for batch, rounds_of_one in zip(batches, zip(*measured, strict=True), strict=True)
        if len(batch) > 1
    ]
    padded_s = sum(len(batch) * max(clip.cost for clip in batch) for batch in batches) - sum(lengths_s)
    print(
        f"{name:<10} wall x {wall}, CPU x {cpu}, worst {min(gains):.2f}; {sum(map(len, shared))} of {len(lengths_s)} "
        f"clips share {len(shared)} batches, {padded_s:.1f} of {sum(lengths_s):.0f} s are padding",
        flush=True,
    )


def sum_of(times: Iterator[Times]) -> Times:
    return sum(times, Times(0.0, 0.0))


@contextmanager
def model_folder(size: str) -> Iterator[Path]:
    if size == "tiny":
        yield MODEL
        return
    with tempfile.TemporaryDirectory() as folder:
        full_size_sensevoice(Path(folder) / "full")
        yield Path(folder) / "full"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--size", choices=("tiny", "full"), default="tiny", help="full: random weights")
    arguments.add_argument("--queues", default="", help="those whose names begin so, joined with commas; all")
    options = arguments.parse_args()
    with model_folder(options.size) as folder:
        engine = SenseVoice(SenseVoiceSettings(str(folder), threads=options.threads, vad=False))
        engine.load(Lifecycle(process_started_s()).phase)
        for name, lengths_s in queues().items():
            if name.startswith(tuple(options.queues.split(","))):
                report(name, engine, lengths_s, options.rounds)


if __name__ == "__main__":
    main()
