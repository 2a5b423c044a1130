"""What both stacks and the predictors share. Activations are `(batch, length, width)` unless said otherwise."""

import math

import torch
from torch import Tensor, nn

NORM_EPSILON = 1e-12  # everywhere in the acoustic model; torch's default is 1e-5


def length_mask(lengths: Tensor, longest: int) -> Tensor:
    """Marks what belongs to each row: `(batch)` lengths to `(batch, longest)` booleans."""
    return torch.arange(longest, device=lengths.device)[None, :] < lengths[:, None]


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zeroes what lies past each row's own length: `(batch, length, width)` by `(batch, length)`.

    Without a mask every position counts: rows of equal length, or a single one.
    """
    return x if mask is None else x * mask[:, :, None]


class Convolution(nn.Conv1d):
    """Convolves `(B, L, C)` along the length, which it keeps; the kernel is odd."""

    def __init__(self, channels: int, outputs: int, kernel: int) -> None:
        super().__init__(channels, outputs, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, L, C)` to `(B, L, C')`."""
        return convolve_image(x, self.weight[:, :, None], self.bias, 1, self.kernel_size[0] // 2)


def convolve(convolution: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """Convolves; with a mask, rows see zeros past their end, as they would alone."""
    return masked(convolution(x), mask)


def convolve_image(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, padding: int) -> Tensor:
    """Convolves `(B, L, C)` by `(C', C, 1, taps)`.

    As an image of height 1 with its channels last in memory, `x` needs no copy on the way in or out; a weight with its
    channels last, as `channels_last` makes it, needs none either.
    """
    image = x.transpose(1, 2)[:, :, None]
    result = nn.functional.conv2d(image, weight, bias, padding=(0, padding), dilation=(1, dilation))
    return result[:, :, 0].transpose(1, 2)


def channels_last(weight: Tensor) -> Tensor:
    """A weight `(C', C, taps)` of the same shape and values, with the channels last in memory."""
    return weight.transpose(1, 2).contiguous().transpose(1, 2)


def table(rows: int, width: int) -> nn.Embedding:
    """A lookup table `(rows, width)`, not initialised: on the meta device that alone would import torch's compiler."""
    embedding: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        torch.empty(rows, width), freeze=False
    )
    return embedding


def sinusoids(length: int, width: int) -> Tensor:
    """The position table `(length, width)`: sines in the even columns, cosines in the odd ones, in float32.

    Always made on the CPU, so that every device sees the same numbers.
    """
    frequency = torch.exp(torch.arange(0, width, 2, device="cpu") * (-math.log(10_000.0) / width))
    phase = torch.arange(length, device="cpu")[:, None] * frequency
    return torch.stack((phase.sin(), phase.cos()), dim=2).flatten(1)


class ScaledPosition(nn.Module):
    """Adds positions, scaled by one learned number."""

    table: Tensor

    def __init__(self, width: int, length: int = 5000) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(()))
        self.register_buffer("table", sinusoids(length, width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape stays `(batch, length, width)`; the table grows when a longer sequence comes."""
        if x.shape[1] > self.table.shape[0]:
            self.table = sinusoids(2 * x.shape[1], x.shape[2]).to(x.device)
        return x + self.alpha * self.table[: x.shape[1]]


class SelfAttention(nn.Module):
    """Multi-head self-attention; keys past a row's length get no weight."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Shape stays `(batch, length, width)`."""
        mixed = attend(self.linear_q(x), self.linear_k(x), self.linear_v(x), self.heads, mask)
        return masked(self.linear_out(mixed), mask)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention over heads; all of `(batch, length, width)`, mask `(batch, length)` of the keys."""
    q, k, v = (x.view(*x.shape[:2], heads, -1).transpose(1, 2) for x in (query, key, value))
    allowed = None if mask is None else mask[:, None, None, :]
    mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    return mixed.transpose(1, 2).flatten(2)
