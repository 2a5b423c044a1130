"""Throughput against batch size, for both architectures with random weights.

    python benchmarks/batch_sizes.py --engine sensevoice --device cuda [--batches 1,2,4,8,16,32,64] [--seconds 2,5,10]
    python benchmarks/batch_sizes.py --engine emotivoice --device cuda

`--size full` (the default) makes a model directory of the published sizes; `--size tiny` takes the test models. The
vocabulary of the full SenseVoice is the test model's: its last layer is 5 % of the published model's weights.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import emotivoice
import numpy as np
import torch
import yaml

from inference_server.engines.emotivoice import synthesis
from inference_server.engines.recognition import RATE_HZ, Clip, Options
from inference_server.engines.sensevoice import SenseVoice, SenseVoiceSettings
from inference_server.serving.lifecycle import Lifecycle, process_started_s

MODELS = Path(__file__).parents[1] / "tests" / "models"
FULL_ENCODER = {"output_size": 512, "attention_heads": 4, "linear_units": 2048, "num_blocks": 50, "tp_blocks": 20}

Batch = Callable[[int], float]
"""Runs a batch of so many pieces; returns the seconds of sound it read or made."""


def full_size_sensevoice(root: Path) -> None:
    """The digits model's folder with an encoder of the published size and random weights."""
    tiny = MODELS / "sensevoice-digits"
    engine = SenseVoice(SenseVoiceSettings(str(tiny), vad=False))
    engine.load(Lifecycle(process_started_s()).phase)  # makes funasr's classes known
    from funasr.register import tables

    shutil.copytree(tiny, root, ignore=shutil.ignore_patterns("clips*", "model.pt"))
    config = yaml.safe_load((tiny / "config.yaml").read_text(encoding="utf-8"))
    config["encoder_conf"] |= FULL_ENCODER
    (root / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    vocabulary = torch.load(tiny / "model.pt", map_location="meta", weights_only=True)["ctc.ctc_lo.bias"].shape[0]
    width = config["frontend_conf"]["lfr_m"] * config["frontend_conf"]["n_mels"]
    sizes = {"input_size": width, "vocab_size": vocabulary}
    model = tables.model_classes["SenseVoiceSmall"](**config | config["model_conf"] | sizes)
    torch.save(model.state_dict(), root / "model.pt")


@contextmanager
def sensevoice(size: str, device: str, threads: int, seconds: list[float]) -> Iterator[dict[str, Batch]]:
    with tempfile.TemporaryDirectory() as folder:
        root = MODELS / "sensevoice-digits" if size == "tiny" else Path(folder) / "full"
        if size == "full":
            full_size_sensevoice(root)
        engine = SenseVoice(SenseVoiceSettings(str(root), device=device, threads=threads, vad=False))
        engine.load(Lifecycle(process_started_s()).phase)
        noise = np.random.default_rng(0).normal(0, 0.05, int(max(seconds) * RATE_HZ)).astype(np.float32)

        def run(length_s: float) -> Batch:
            clip = Clip(noise[: int(length_s * RATE_HZ)], Options())

            def batch(pieces: int) -> float:
                engine.run([clip] * pieces)
                return pieces * length_s

            return batch

        yield {f"{length_s:g} s": run(length_s) for length_s in seconds}


@contextmanager
def emotivoice_texts(size: str, device: str, threads: int) -> Iterator[dict[str, Batch]]:
    torch.set_num_threads(threads)
    with ExitStack() as stack:
        root = emotivoice.TINY if size == "tiny" else stack.enter_context(emotivoice.model_directory())
        ours = synthesis.load(root, device)

        def speak(text: str) -> Batch:
            (piece,) = ours.plan(text, "8051", emotivoice.PROMPT)
            return lambda pieces: sum(map(len, ours.render([piece] * pieces))) / ours.sample_rate_hz

        yield {text: speak(text) for text in emotivoice.TEXTS}


def peak_bytes(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def report(batches: dict[str, Batch], sizes: list[int], rounds: int, device: str) -> None:
    print(f"{'batch':>6}{'ms':>10}{'pieces/s':>10}{'sound s/s':>11}{'peak MiB':>10}  piece")
    for name, run in batches.items():
        for pieces in sizes:
            run(pieces)  # the first call of a shape allocates
            took_s, sound_s = [], 0.0
            for _ in range(rounds):
                begun_s = time.perf_counter()
                sound_s = run(pieces)  # results are on the CPU when it returns
                took_s.append(time.perf_counter() - begun_s)
            middle_s = statistics.median(took_s)
            rates = f"{pieces / middle_s:10.1f}{sound_s / middle_s:11.1f}{peak_bytes(device) / 2**20:10.0f}"
            print(f"{pieces:6}{1e3 * middle_s:10.1f}{rates}  {name}", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--engine", choices=("sensevoice", "emotivoice"), required=True)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--size", choices=("full", "tiny"), default="full")
    arguments.add_argument("--batches", default="1,2,4,8,16,32,64")
    arguments.add_argument("--seconds", default="2,5,10", help="lengths of clips")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=1, help="of torch, on the CPU")
    options = arguments.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(f"--device {options.device}: torch sees no GPU")
    sizes = [int(each) for each in options.batches.split(",")]
    seconds = [float(each) for each in options.seconds.split(",")]
    chosen = (options.size, options.device, options.threads)
    making = sensevoice(*chosen, seconds) if options.engine == "sensevoice" else emotivoice_texts(*chosen)
    with making as batches:
        report(batches, sizes, options.rounds, options.device)


if __name__ == "__main__":
    main()
