"""The command that measures batches on a GPU runs here on the CPU, with the test models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "batch_sizes.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, BENCHMARK, "--size", "tiny", "--batches", "1,2", "--rounds", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "pieces"),
    [pytest.param("sensevoice", 2, id="two lengths of clips"), pytest.param("emotivoice", 5, id="five texts")],
)
def test_every_piece_is_run_at_every_size(engine: str, pieces: int) -> None:
    ended = run("--engine", engine, "--seconds", "0.5,1")
    assert ended.returncode == 0, ended.stderr[-2000:]
    rows = [line.split() for line in ended.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["1", "2"] * pieces
    assert all(float(figure) > 0 for row in rows for figure in row[1:5])


def test_a_gpu_that_is_not_there_is_said() -> None:
    ended = run("--engine", "sensevoice", "--device", "cuda:99")
    assert ended.returncode != 0
    assert "GPU" in ended.stderr or "CUDA" in ended.stderr
