"""The acoustic model (PromptTTS): phonemes, voice, style and content to a mel spectrogram.

Module and parameter names are those of the published checkpoint under `am.`. The mathematics follow EmotiVoice's
inference branch (github.com/netease-youdao/EmotiVoice, commit bc2de8c), batched so that every row is what it would be
alone: positions past a row's length are zero before every convolution and get no attention.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from inference_server.engines.emotivoice.checkpoint import Shape
from inference_server.engines.emotivoice.config import AcousticSizes, PredictorSizes, StackSizes
from inference_server.engines.emotivoice.layers import (
    NORM_EPSILON,
    Convolution,
    ScaledPosition,
    SelfAttention,
    convolve,
    length_mask,
    masked,
    table,
)

_ATTENTION_SHARPNESS = 0.1  # of the Gaussian that spreads tokens over frames


@dataclass(frozen=True, slots=True)
class Prosody:
    """What the token side of the model says; B rows, T tokens, D the model's width.

    Attributes:
        encoded: encoder output, `(B, T, D)`.
        projected: with voice, style and content joined in, `(B, T, D)`.
        log_duration: `(B, T)`.
        pitch: one normalised value per token, `(B, T)`.
        energy: one normalised value per token, `(B, T)`.
        pitch_embedding: `(B, T, D)`.
        energy_embedding: `(B, T, D)`.
        mask: which tokens belong to each row, `(B, T)`; `None` when all do.
    """

    encoded: Tensor
    projected: Tensor
    log_duration: Tensor
    pitch: Tensor
    energy: Tensor
    pitch_embedding: Tensor
    energy_embedding: Tensor
    mask: Tensor | None

    @property
    def spoken(self) -> Tensor:
        """What is spread over the frames, `(B, T, D)`."""
        return self.projected + self.pitch_embedding + self.energy_embedding

    def durations(self, speed: Tensor) -> Tensor:
        """Frames per token, `(B, T)` float, whole numbers; 0 past a row's length.

        Args:
            speed: `(B)`; 1 gives the model's own durations, 2 about half of them.
        """
        frames = torch.round((self.log_duration.exp() - 1) / speed[:, None]).clamp(min=0)
        return frames if self.mask is None else frames * self.mask


class FeedForward(nn.Module):
    """Two convolutions with an exact GELU between them."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.w_1 = Convolution(width, 4 * width, kernel)
        self.w_2 = Convolution(4 * width, width, kernel)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Shape stays `(B, L, D)`."""
        return convolve(self.w_2, nn.functional.gelu(convolve(self.w_1, x, mask)), mask)


class StackLayer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width: int, sizes: StackSizes) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, sizes.heads)
        self.feed_forward = FeedForward(width, sizes.kernel)
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Shape stays `(B, L, D)`."""
        x = x + self.self_attn(self.norm1(x), mask)
        fed: Tensor = self.feed_forward(masked(self.norm2(x), mask), mask)
        return x + fed


class Stack(nn.Module):
    """Positions, layers and a last norm: the encoder over tokens, the decoder over frames."""

    def __init__(self, width: int, sizes: StackSizes) -> None:
        super().__init__()
        self.embed = nn.Sequential(ScaledPosition(width))
        self.encoders = nn.ModuleList(StackLayer(width, sizes) for _ in range(sizes.layers))
        self.after_norm = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Shape stays `(B, L, D)`."""
        x = self.embed(x)
        for layer in self.encoders:
            x = layer(x, mask)
        return masked(self.after_norm(x), mask)


class Predictor(nn.Module):
    """One number per token: convolution, ReLU and norm a few times, then a linear layer."""

    def __init__(self, width: int, sizes: PredictorSizes) -> None:
        super().__init__()
        self.conv = nn.ModuleList(
            nn.Sequential(
                Convolution(width if layer == 0 else sizes.width, sizes.width, sizes.kernel),
                nn.ReLU(),
                nn.LayerNorm(sizes.width, eps=NORM_EPSILON),
            )
            for layer in range(sizes.layers)
        )
        self.linear = nn.Linear(sizes.width, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`(B, T, D)` to `(B, T)`."""
        for layer in self.conv:
            convolution, rectify, norm = cast("nn.Sequential", layer)
            x = masked(norm(rectify(convolve(convolution, x, mask))), mask)
        return masked(self.linear(x), mask).squeeze(2)


class AcousticModel(nn.Module):
    """Tokens to prosody (`plan`), prosody to mel frames (`render`)."""

    def __init__(self, sizes: AcousticSizes) -> None:
        super().__init__()
        width = sizes.width
        self.src_word_emb = table(sizes.tokens, width)
        self.spk_tokenizer = table(sizes.voices, width)
        self.encoder = Stack(width, sizes.encoder)
        self.embed_projection1 = nn.Linear(2 * width + 2 * sizes.style_width, width)
        self.duration_predictor = Predictor(width, sizes.duration)
        self.pitch_predictor = Predictor(width, sizes.pitch)
        self.energy_predictor = Predictor(width, sizes.energy)
        self.pitch_embed = nn.Sequential(Convolution(1, width, sizes.variance_kernel))
        self.energy_embed = nn.Sequential(Convolution(1, width, sizes.variance_kernel))
        self.decoder = Stack(width, sizes.decoder)
        self.to_mel = nn.Linear(width, sizes.mel)

    def plan(self, ids: Tensor, lengths: Tensor | None, voice: Tensor, style: Tensor, content: Tensor) -> Prosody:
        """Encodes tokens and predicts durations, pitch and energy.

        Args:
            ids: token ids, `(B, T)`; anything past a row's length.
            lengths: tokens per row, `(B)`; `None` when every row has T.
            voice: voice vectors, `(B, D)`.
            style: prompt vectors, `(B, S)`.
            content: text vectors, `(B, S)`.
        """
        mask = None if lengths is None else length_mask(lengths, ids.shape[1])
        encoded = self.encoder(masked(self.src_word_emb(ids), mask), mask)
        row = torch.cat((voice, style, content), dim=1)[:, None, :].expand(-1, ids.shape[1], -1)
        projected = masked(self.embed_projection1(torch.cat((encoded, row), dim=2)), mask)
        pitch = self.pitch_predictor(projected, mask)
        energy = self.energy_predictor(projected, mask)
        return Prosody(
            encoded=encoded,
            projected=projected,
            log_duration=self.duration_predictor(projected, mask),
            pitch=pitch,
            energy=energy,
            pitch_embedding=convolve(self.pitch_embed[0], pitch[:, :, None], mask),
            energy_embedding=convolve(self.energy_embed[0], energy[:, :, None], mask),
            mask=mask,
        )

    def render(self, frames: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Decodes frames `(B, F, D)` to decoder output of the same shape and mel `(B, F, mel)`."""
        decoded = self.decoder(frames, mask)
        return decoded, masked(self.to_mel(decoded), mask)


def spread(spoken: Tensor, durations: Tensor, tokens: Tensor | None, longest: int) -> Tensor:
    """Spreads tokens over frames by a Gaussian around each token's centre.

    Args:
        spoken: `(B, T, D)`.
        durations: frames per token, `(B, T)` float, as `sounding` gives them.
        tokens: which tokens belong to each row, `(B, T)`; tokens of 0 frames keep their weight.
        longest: the number of frames to make.

    Returns:
        Frames `(B, longest, D)`; those past a row's own number are meaningless and to be masked.
    """
    centre = durations.cumsum(1) - durations / 2
    time = torch.arange(longest, device=spoken.device, dtype=spoken.dtype)
    score = -_ATTENTION_SHARPNESS * (time[None, :, None] - centre[:, None, :]) ** 2
    if tokens is not None:
        score = score.masked_fill(~tokens[:, None, :], -torch.inf)
    return score.softmax(2) @ spoken


def sounding(durations: Tensor, tokens: Tensor | None) -> Tensor:
    """Durations that make a sound: where all tokens of a row have 0 frames, each gets one; shape stays `(B, T)`."""
    silent = durations.sum(1, keepdim=True) == 0
    one_each = torch.ones_like(durations) if tokens is None else tokens.to(durations.dtype)
    return torch.where(silent, one_each, durations)


def alignment_shapes(sizes: AcousticSizes) -> dict[str, Shape]:
    """Parameters of the aligner, which the joint checkpoint carries under `am.` and only training uses."""
    width = sizes.width
    weights: dict[str, Shape] = {
        "t_conv1": (width, width, 3),
        "t_conv2": (width, width, 1),
        "f_conv1": (width, sizes.mel, 3),
        "f_conv2": (width, width, 3),
        "f_conv3": (width, width, 1),
    }
    named: dict[str, Shape] = {}
    for layer, shape in weights.items():
        named[f"alignment_module.{layer}.weight"] = shape
        named[f"alignment_module.{layer}.bias"] = (width,)
    return named
