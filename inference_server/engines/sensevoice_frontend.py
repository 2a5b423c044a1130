"""SenseVoice's features without holding Python's interpreter lock; importing this registers it with funasr.

funasr's own `WavFrontend` computes filter banks in calls that hold the lock throughout: 75 ms for a clip of 30 s, in
which no other thread gets a turn, the event loop's neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from funasr.frontends.wav_frontend import WavFrontend, apply_cmvn, apply_lfr
from funasr.register import tables
from torch.nn.utils.rnn import pad_sequence

from inference_server.audio.fbank import FilterBank

_INT16 = 1 << 15


@tables.register("frontend_classes", "TensorFrontend")
class TensorFrontend(WavFrontend):  # type: ignore[misc]
    """`WavFrontend` with other filter banks: the same numbers, see `inference_server.audio.fbank`."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 a model directory's frontend_conf
        super().__init__(**options)
        if self.window != "hamming" or not self.snip_edges or self.dither:
            raise ValueError("frontend_conf: window=hamming, snip_edges=true, dither=0.0 are supported")
        self._bank = FilterBank(self.fs, self.n_mels, self.frame_length, self.frame_shift)

    def forward(
        self,
        input: torch.Tensor,  # noqa: A002 funasr's name
        input_lengths: Sequence[int],
        **_: Any,  # noqa: ANN401 funasr's options
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of clips x samples in -1..1, padded to the longest: (clips x frames x width, frames of each)."""
        features = [self._features(clip[:length]) for clip, length in zip(input, input_lengths, strict=True)]
        return pad_sequence(features, batch_first=True), torch.tensor([len(each) for each in features])

    def _features(self, samples: torch.Tensor) -> torch.Tensor:
        stacked: torch.Tensor = apply_lfr(self._bank(samples * _INT16), self.lfr_m, self.lfr_n)
        if self.cmvn is not None:
            apply_cmvn(stacked, self.cmvn)  # in place
        return stacked
