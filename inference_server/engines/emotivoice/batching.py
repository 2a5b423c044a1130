"""Which rows share a padded batch: those whose padding costs less than another call."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True, slots=True)
class Padding:
    """How much a row may be padded in each network, in its own unit: about what one more call of it costs.

    Attributes:
        pieces: BERT pieces in the style encoder.
        tokens: phonemes on the token side of the acoustic model.
        frames: frames in its decoder.
        vocoder_frames: frames in the vocoder.
        most: padded positions of any kind that one call may hold, which bounds its memory.
    """

    pieces: int
    tokens: int
    frames: int
    vocoder_frames: int
    most: int


# One CPU thread at full size: 22 ms + 1.8 ms a piece, 10 ms + 0.4 ms a token, 6 ms + 0.4 ms a frame. The vocoder takes
# 5.5 ms a frame and nothing for the call, so nothing is padded. 62.5 frames take about 28 MB of memory.
_CPU = Padding(pieces=12, tokens=27, frames=15, vocoder_frames=0, most=2_000)
# Estimated from launch times and arithmetic, not measured: a call costs about a millisecond, a frame far less.
_ACCELERATOR = Padding(pieces=512, tokens=2_048, frames=512, vocoder_frames=64, most=16_000)


def padding_for(device: torch.device) -> Padding:
    """The padding that pays on a device."""
    return _CPU if device.type == "cpu" else _ACCELERATOR


def length_groups(lengths: Sequence[int], padding: int, most: int) -> list[list[int]]:
    """Groups rows of similar length.

    Args:
        lengths: of each row.
        padding: the most any row may be padded by.
        most: the most that rows x longest row may come to; a longer row still gets a group of its own.

    Returns:
        Indices into `lengths`, longest rows first; every row in exactly one group.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if groups:
            longest = lengths[groups[-1][0]]
            if longest - lengths[index] <= padding and longest * (len(groups[-1]) + 1) <= most:
                groups[-1].append(index)
                continue
        groups.append([index])
    return groups


def padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Rows `(length, ...)` as one batch, zeros at their ends, and their lengths; no lengths when they are equal."""
    lengths = [len(row) for row in rows]
    batch = pad_sequence(list(rows), batch_first=True)
    if min(lengths) == max(lengths):
        return batch, None
    return batch, torch.tensor(lengths, device=batch.device)
