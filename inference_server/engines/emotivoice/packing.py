"""Linear layers and convolutions for CPUs, with their weights in the layout that oneDNN computes in, made once.

Given a plain matrix, a product of a few dozen rows lays it out anew in every call, which takes about as long as the
arithmetic. The two operators are those that torch's own compiler emits for CPUs; they have no public name.
"""

import torch
from torch import Tensor, nn

from inference_server.engines.emotivoice.layers import Convolution


class PackedLinear(nn.Module):
    """`nn.Linear` with packed weights."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        self._bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """`(..., C)` to `(..., C')`."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return result


class PackedConvolution(nn.Module):
    """`Convolution` as a linear layer over each position's neighbourhood."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__()
        (self._kernel,) = convolution.kernel_size
        self._linear = PackedLinear(convolution.weight.transpose(1, 2).flatten(1), convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, L, C)` to `(B, L, C')`."""
        reach = self._kernel // 2
        around = nn.functional.pad(x, (0, 0, reach, reach)).unfold(1, self._kernel, 1)  # (B, L, C, taps)
        result: Tensor = self._linear(around.transpose(2, 3).flatten(2))
        return result


def pack(module: nn.Module) -> None:
    """Replaces the linear layers and convolutions inside a module; where torch lacks oneDNN they stay as they are."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, PackedLinear(child.weight, child.bias))
        elif isinstance(child, Convolution):
            setattr(module, name, PackedConvolution(child))
        else:
            pack(child)
