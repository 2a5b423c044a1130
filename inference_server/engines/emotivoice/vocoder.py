"""The vocoder (HiFi-GAN generator): mel frames to samples.

Parameter names are those of the published checkpoint under `generator.`, with weight norm folded.
"""

from collections.abc import Iterator
from typing import cast

from torch import Tensor, nn

from inference_server.engines.emotivoice.config import VocoderSizes
from inference_server.engines.emotivoice.layers import length_mask

SLOPE = 0.1
LAST_SLOPE = 0.01  # torch's default, not the slope used everywhere else


class ResidualBlock(nn.Module):
    """Pairs of a dilated and a plain convolution, each pair added to what went in."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same_length(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same_length(channels, kernel, 1) for _ in dilations)

    def pairs(self) -> Iterator[tuple[nn.Conv1d, nn.Conv1d]]:
        """The dilated and the plain convolution of each pair."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            yield cast("nn.Conv1d", dilated), cast("nn.Conv1d", plain)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Shape stays `(B, C, L)`."""
        for dilated, plain in self.pairs():
            inner = _masked(dilated(nn.functional.leaky_relu(x, SLOPE)), mask)
            x = x + _masked(plain(nn.functional.leaky_relu(inner, SLOPE)), mask)
        return x


class Vocoder(nn.Module):
    """Mel frames to a wave in [-1, 1], `hop` samples a frame."""

    def __init__(self, sizes: VocoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.conv_pre = nn.Conv1d(sizes.mel, sizes.channels, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        channels = sizes.channels
        for rate, kernel in zip(sizes.rates, sizes.kernels, strict=True):
            padding = (kernel - rate) // 2
            self.ups.append(nn.ConvTranspose1d(channels, channels // 2, kernel, stride=rate, padding=padding))
            channels //= 2
            for size, dilations in zip(sizes.residual_kernels, sizes.residual_dilations, strict=True):
                self.resblocks.append(ResidualBlock(channels, size, dilations))
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3)

    def stages(self) -> Iterator[tuple[nn.ConvTranspose1d, list[ResidualBlock]]]:
        """The upsampling of each stage and the residual blocks whose mean follows it."""
        blocks = [cast("ResidualBlock", block) for block in self.resblocks]
        count = len(self.sizes.residual_kernels)
        for stage, upsample in enumerate(self.ups):
            yield cast("nn.ConvTranspose1d", upsample), blocks[stage * count : (stage + 1) * count]

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Makes the wave.

        Args:
            mel: `(B, F, mel)`, zero past each row's length.
            lengths: frames per row, `(B)`; `None` when every row has F.

        Returns:
            Samples `(B, F * hop)`, zero past each row's length.
        """
        frames, samples = mel.shape[1], 1
        mask = _mask(lengths, frames, samples)
        x = _masked(self.conv_pre(mel.transpose(1, 2)), mask)
        for rate, (upsample, blocks) in zip(self.sizes.rates, self.stages(), strict=True):
            samples *= rate
            mask = _mask(lengths, frames, samples)
            x = _masked(upsample(nn.functional.leaky_relu(x, SLOPE)), mask)
            x = _mean([block(x, mask) for block in blocks])
        wave = self.conv_post(nn.functional.leaky_relu(x, LAST_SLOPE)).tanh()
        return _masked(wave, mask).squeeze(1)


def _same_length(channels: int, kernel: int, dilation: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation)


def _mean(outputs: list[Tensor]) -> Tensor:
    total = outputs[0]
    for output in outputs[1:]:
        total = total + output
    return total / len(outputs)


def _mask(lengths: Tensor | None, frames: int, samples: int) -> Tensor | None:
    """Which samples belong to each row, `(B, 1, frames * samples)`, where each frame has so many."""
    return None if lengths is None else length_mask(lengths * samples, frames * samples)[:, None, :]


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask
