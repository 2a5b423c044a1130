"""Filter banks are Kaldi's: `kaldi_native_fbank` is what funasr uses, and what the model was trained on."""

from __future__ import annotations

import kaldi_native_fbank
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.audio.fbank import FilterBank


def kaldi(samples: np.ndarray, rate_hz: int, bins: int) -> np.ndarray:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = rate_hz
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = "hamming"
    options.mel_opts.num_bins = bins
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(rate_hz, samples)
    bank.input_finished()
    return np.stack([bank.get_frame(frame) for frame in range(bank.num_frames_ready)])


def sound(kind: str, size: int, rate_hz: int) -> np.ndarray:
    dice, time_s = np.random.default_rng(size), np.arange(size) / rate_hz
    return {
        "noise": dice.normal(0, 1000, size),
        "silence": np.zeros(size),
        "constant": np.full(size, 500.0),
        "tone": 8000 * np.sin(2 * np.pi * 440 * time_s),
        "full scale": 32768 * np.sign(np.sin(2 * np.pi * 50 * time_s)),
    }[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["noise", "silence", "constant", "tone", "full scale"])
@pytest.mark.parametrize(("rate_hz", "bins"), [(16_000, 80), (8000, 40)])
def test_features_are_those_of_kaldi(kind: str, rate_hz: int, bins: int) -> None:
    samples = sound(kind, rate_hz, rate_hz)
    ours = FilterBank(rate_hz, bins, 25.0, 10.0)(torch.from_numpy(samples)).numpy()
    theirs = kaldi(samples, rate_hz, bins)
    assert ours.shape == theirs.shape
    loud = theirs > theirs.max() - 16  # far below the loudest, both hold the rounding of float32
    assert np.abs(ours - theirs)[loud].max() < 0.01


@settings(max_examples=25, deadline=None)
@given(st.integers(400, 8000))
def test_there_are_as_many_frames_as_kaldi_finds(size: int) -> None:
    samples = sound("noise", size, 16_000)
    assert len(FilterBank(16_000, 80, 25.0, 10.0)(torch.from_numpy(samples))) == len(kaldi(samples, 16_000, 80))
