"""Convolutions for processors that are bound by arithmetic: signals are `(L, C)`, samples before channels.

`ToomConvolution` does about half the multiplications. A convolution is a product of polynomials. Split into four phases
(every fourth sample), signal and kernel become polynomials of degree 3 whose coefficients are themselves signals and
short kernels; their product has seven coefficients, so seven short convolutions at a quarter of the length give what
sixteen did: evaluate at seven points, multiply, interpolate (Toom-Cook; for filters also known as fast FIR and Winograd
algorithms, e.g. Blahut, "Fast Algorithms for Signal Processing", chapter 5). With the points below the rounding error
is about twice that of the plain convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from inference_server.engines.emotivoice.layers import channels_last, convolve_image

PHASES = 4
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, -0.5)  # and infinity; of those tried, the set with the least rounding error
_POINT_COUNT = 2 * PHASES - 1
# Below these the transforms cost more than the multiplications they save (one thread of an x86-64 server).
_LEAST_CHANNELS, _LEAST_KERNEL = 64, 7
_LEAST_MATRIX_CHANNELS = 256


class Convolution(Protocol):
    """A convolution over `(L, C)`."""

    def __call__(self, x: Tensor) -> Tensor:
        """The result, `(L, C')`."""


def fastest(convolution: nn.Conv1d) -> Convolution:
    """What computes a length-keeping convolution in the least time."""
    (kernel,) = convolution.kernel_size
    if convolution.in_channels >= _LEAST_CHANNELS and kernel >= _LEAST_KERNEL:
        return ToomConvolution(convolution)
    return PlainConvolution(convolution)


class PlainConvolution:
    """A convolution that keeps the length, with the taps it has.

    Args:
        convolution: odd kernel, stride 1, zero padding that keeps the length.
    """

    def __init__(self, convolution: nn.Conv1d) -> None:
        (kernel,), (self._dilation,) = convolution.kernel_size, convolution.dilation
        self._padding = (kernel - 1) * self._dilation // 2
        self._weight = channels_last(convolution.weight.detach())[:, :, None]
        self._bias = convolution.bias

    def __call__(self, x: Tensor) -> Tensor:
        """`(L, C)` to `(L, C')`."""
        return _convolve(x, self._weight, self._bias, self._dilation, self._padding)


class Upsampling:
    """A transposed convolution, as one plain convolution that makes all samples of a step side by side as channels.

    Args:
        convolution: stride `rate`, padding that makes exactly `rate` samples of each, with bias.
    """

    def __init__(self, convolution: nn.ConvTranspose1d) -> None:
        (kernel,), (self._rate,) = convolution.kernel_size, convolution.stride
        if convolution.bias is None:
            raise ValueError("needs a bias")
        self._padding = (kernel - self._rate) // 2
        self._taps = -(-kernel // self._rate)
        weight = nn.functional.pad(convolution.weight.detach(), (0, self._taps * self._rate - kernel))
        # Sample r of a step takes tap r from this step, tap r + rate from the one before, and so on.
        steps = weight.view(*weight.shape[:2], self._taps, self._rate).flip(2)  # (C, C', taps, rate)
        self._weight = channels_last(steps.permute(3, 1, 0, 2).flatten(0, 1))[:, :, None]
        self._bias = convolution.bias.detach().repeat(self._rate)

    def __call__(self, x: Tensor) -> Tensor:
        """`(L, C)` to `(L * rate, C')`."""
        steps = _convolve(x, self._weight, self._bias, 1, self._taps - 1)
        samples = steps.reshape(len(steps) * self._rate, -1)
        return samples[self._padding : self._padding + len(x) * self._rate]


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Where samples lie when a kernel of odd dilation d runs over four phases.

    In steps of d the phases follow each other as the powers of a polynomial's variable do: sample `d p + 4 m` is
    coefficient p at position m.

    Attributes:
        inputs: for each power p, the phase `d p mod 4` that holds it, and where in a padded row its samples begin.
        outputs: for each phase of the result, the power it is computed at, and where its samples begin.
        extra: positions a padded row has beyond the length of a phase.
    """

    inputs: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[int, int], ...]
    extra: int

    @classmethod
    def of(cls, kernel: int, dilation: int) -> "_Geometry":
        reach = dilation * (-(-kernel // PHASES) - 1)
        pad = dilation * (kernel - 1) // 2
        inverse = pow(dilation, -1, PHASES)
        powers = [(phase + pad) * inverse % PHASES for phase in range(PHASES)]
        starts = [(phase + pad - dilation * power) // PHASES for phase, power in enumerate(powers)]
        first = min(starts) - dilation
        return cls(
            inputs=tuple(
                (dilation * power % PHASES, reach - first - dilation * power // PHASES) for power in range(PHASES)
            ),
            outputs=tuple((power, start - first) for power, start in zip(powers, starts, strict=True)),
            extra=max(starts) - first + reach,
        )


def _evaluation(coefficients: int) -> Tensor:
    """The matrix `(7, coefficients)` that evaluates a polynomial at the points; its last row is infinity."""
    powers = torch.tensor(_POINTS, dtype=torch.float64)[:, None] ** torch.arange(coefficients)
    infinity = torch.eye(coefficients, dtype=torch.float64)[-1:]
    return torch.cat((powers, infinity))


class ToomConvolution:
    """A convolution that keeps length and channels, with 7 multiplications for 16; lengths are multiples of 4.

    Args:
        convolution: odd kernel, odd dilation, stride 1, zero padding that keeps the length, with bias.
    """

    def __init__(self, convolution: nn.Conv1d) -> None:
        (kernel,), (self._dilation,) = convolution.kernel_size, convolution.dilation
        if convolution.bias is None or kernel % 2 == 0 or self._dilation % 2 == 0:
            raise ValueError("needs a bias, an odd kernel and an odd dilation")
        evaluate, multiply = _evaluation(PHASES), _evaluation(_POINT_COUNT)
        taps = -(-kernel // PHASES)
        weight = convolution.weight.detach().double().flip(2)
        short = nn.functional.pad(weight, (0, taps * PHASES - kernel)).view(*weight.shape[:2], taps, PHASES).flip(2)
        points = torch.einsum("zp,oitp->zoit", evaluate, short).float()
        # A constant in every phase is the polynomial 1 + x + x^2 + x^3.
        biases = (multiply[:, :PHASES].sum(1)[:, None] * convolution.bias.detach()).float()
        make = _MatrixProducts if convolution.in_channels >= _LEAST_MATRIX_CHANNELS else _ConvolutionProducts
        self._multiply: _Products = make(points, biases, self._dilation)
        # At zero and at infinity, the first and the last coefficient are there without arithmetic.
        self._evaluate = evaluate[1:-1].float()
        self._interpolate = torch.linalg.inv(multiply)[1:-1].float()
        self._geometry = _Geometry.of(kernel, self._dilation)

    def __call__(self, x: Tensor) -> Tensor:
        """Shape stays `(L, C)`."""
        phases = x.view(len(x) // PHASES, PHASES, -1)
        products = self._multiply(self._points(phases))
        between = (self._interpolate @ products.flatten(1)).view(-1, *products.shape[1:])
        return self._assembled([products[0], *between, products[-1]], phases).view_as(x)

    def _points(self, phases: Tensor) -> list[Tensor]:
        """The signal's polynomial at the seven points: `(L / 4, 4, C)` to `(L / 4 + extra, C)` each."""
        length, _, channels = phases.shape
        rows = phases.new_empty(PHASES, length + self._geometry.extra, channels)
        for row, (phase, begin) in zip(rows, self._geometry.inputs, strict=True):
            row[:begin] = 0
            row[begin : begin + length] = phases[:, phase]
            row[begin + length :] = 0
        between = (self._evaluate @ rows.flatten(1)).view(-1, *rows.shape[1:])
        return [rows[0], *between, rows[-1]]

    def _assembled(self, coefficients: Sequence[Tensor], phases: Tensor) -> Tensor:
        """The product's coefficients at the samples they belong to, `(L / 4, 4, C)`."""
        result, length = torch.empty_like(phases), len(phases)
        for phase, (power, begin) in enumerate(self._geometry.outputs):
            sample = coefficients[power][begin : begin + length]
            if power + PHASES < _POINT_COUNT:  # four powers further on is the same phase, one dilation later
                carried = begin - self._dilation
                torch.add(sample, coefficients[power + PHASES][carried : carried + length], out=result[:, phase])
            else:
                result[:, phase] = sample
        return result


class _Products(Protocol):
    """Convolves each of seven points `(W, C)` with a short kernel of its own, without padding."""

    def __call__(self, points: Sequence[Tensor]) -> Tensor:
        """The products, `(7, W - dilation * (taps - 1), C)`."""


class _ConvolutionProducts:
    """Seven convolutions.

    Args:
        weights: `(7, C, C, taps)`.
        biases: `(7, C)`.
        dilation: of the taps.
    """

    def __init__(self, weights: Tensor, biases: Tensor, dilation: int) -> None:
        self._weights = [channels_last(weight)[:, :, None] for weight in weights]
        self._biases = biases
        self._dilation = dilation

    def __call__(self, points: Sequence[Tensor]) -> Tensor:
        return torch.stack(
            [
                _convolve(point, weight, bias, self._dilation, 0)
                for point, weight, bias in zip(points, self._weights, self._biases, strict=True)
            ]
        )


class _MatrixProducts:
    """One matrix product for each tap: many weights are not worth being reordered for every call, as convolutions do.

    Args:
        weights: `(7, C, C, taps)`.
        biases: `(7, C)`.
        dilation: of the taps.
    """

    def __init__(self, weights: Tensor, biases: Tensor, dilation: int) -> None:
        self._matrices = weights.permute(0, 3, 2, 1).contiguous()  # (7, taps, C, C')
        self._biases = biases
        self._dilation = dilation

    def __call__(self, points: Sequence[Tensor]) -> Tensor:
        _, taps, _, channels = self._matrices.shape
        length = len(points[0]) - self._dilation * (taps - 1)
        products = points[0].new_empty(len(points), length, channels)
        for product, point, (first, *others), bias in zip(products, points, self._matrices, self._biases, strict=True):
            torch.addmm(bias, point[:length], first, out=product)
            for tap, matrix in enumerate(others, 1):
                product.addmm_(point[tap * self._dilation :][:length], matrix)
        return products


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, padding: int) -> Tensor:
    """Convolves `(L, C)` by `(C', C, 1, taps)`."""
    return convolve_image(x[None], weight, bias, dilation, padding)[0]
