"""What a start finds out: a damaged model folder, which funasr would serve, and what a call of the model costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from inference_server.engines.recognition import RATE_HZ, Clip, Options
from inference_server.engines.sensevoice import SenseVoice, SenseVoiceSettings
from inference_server.serving.batching import choose_batch

FOLDER = Path(__file__).parents[2] / "models" / "sensevoice-digits"


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "model", ignore=shutil.ignore_patterns("clips*")))


def start(folder: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from inference_server.cli import main; main()", "serve", "--engine", "sensevoice"]
    arguments = ["--port", "0", "-o", f"model={folder}", *options]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", ["model.pt", "am.mvn", "bpe.model", "config.yaml", "configuration.json"])
def test_a_missing_file_is_named(model_copy: Path, name: str) -> None:
    (model_copy / name).unlink()
    ended = start(model_copy)
    assert ended.returncode == 2
    assert f"{name} is missing" in ended.stderr


def test_a_path_that_is_not_there_is_never_looked_up_on_a_hub(tmp_path: Path) -> None:
    ended = start(tmp_path / "mistyped")
    assert ended.returncode == 2
    assert "no such folder" in ended.stderr


def test_weights_of_another_model_are_refused(model_copy: Path) -> None:
    import torch

    weights = torch.load(model_copy / "model.pt", weights_only=True)
    name = next(iter(weights))
    del weights[name]
    torch.save(weights, model_copy / "model.pt")
    ended = start(model_copy)
    assert ended.returncode == 1
    assert f"model.pt lacks or misfits 1 tensors, the first: {name}" in ended.stderr


def test_a_known_clip_that_comes_out_differently_ends_the_start(model_copy: Path) -> None:
    clip = FOLDER / "clips" / "10_en.wav"
    ended = start(model_copy, "-o", f"known_clip={clip}", "-o", "known_text=nine six")
    assert ended.returncode == 1
    assert "the known clip gave 'nine five'" in ended.stderr


def test_the_warm_up_finds_out_that_a_call_of_this_small_model_is_worth_much_padding() -> None:
    """A call costs it as much as 5 s of sound; half of that counts."""
    engine = SenseVoice(SenseVoiceSettings(str(FOLDER), vad=False))
    engine.load(lambda _: nullcontext())
    waiting = [Clip(np.zeros(int(seconds * RATE_HZ), np.float32), Options()) for seconds in (1.0, 2.0)]
    assert choose_batch(waiting, engine.batching) == [0, 1]
    assert engine.batching.call_cost <= engine.batching.max_shared_cost / 2
