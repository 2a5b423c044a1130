"""Reading published checkpoints by parameter name, strictly, without running anything they contain."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from inference_server.engines.emotivoice.errors import InvalidModel

Shape = tuple[int, ...]

# What torch's parametrised weight norm calls the tensors that the older form calls weight_g and weight_v.
_GAIN, _DIRECTION = "weight_g", "weight_v"
_WEIGHT_NORM_NAMES = {
    "parametrizations.weight.original0": _GAIN,
    "parametrizations.weight.original1": _DIRECTION,
}


def read_tensors(path: Path, key: str | None) -> dict[str, Tensor]:
    """Reads the tensors of a checkpoint, or those under one of its keys, mapped from the file where its format allows.

    Raises:
        InvalidModel: the file is no checkpoint of plain tensors, or has no such key.
    """
    content = _load(path)
    if key is not None:
        content = content.get(key) if isinstance(content, dict) else None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InvalidModel(path, ["holds no tensors by name" + (f" under {key!r}" if key else "")])
    return content


def _load(path: Path) -> object:
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"  # the format since torch 1.6; the older one cannot be memory-mapped
        content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidModel(path, [f"not a readable checkpoint of tensors: {reason}"]) from error
    return content


def shapes(module: nn.Module, prefix: str = "") -> dict[str, Shape]:
    """Names and shapes of a module's parameters."""
    return {prefix + name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def require(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Shape]) -> None:
    """Checks names and shapes.

    Raises:
        InvalidModel: every missing, unexpected and mis-shaped parameter by its name in the file.
    """
    problems = [f"{name}: missing, shape {list(shape)}" for name, shape in expected.items() if name not in found]
    problems += [f"{name}: unexpected" for name in found if name not in expected]
    problems += [
        f"{name}: shape {list(found[name].shape)}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    problems += [f"{name}: {found[name].dtype}, not floating point" for name in _not_floating(found, expected)]
    if problems:
        raise InvalidModel(path, problems)


def _not_floating(found: Mapping[str, Tensor], names: Iterable[str]) -> list[str]:
    return [name for name in names if name in found and not found[name].is_floating_point()]


def with_old_weight_norm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the tensors of parametrised weight norm (torch since 2.0) to `weight_g` and `weight_v`."""
    renamed = {}
    for name, tensor in state.items():
        for new, old in _WEIGHT_NORM_NAMES.items():
            if name.endswith("." + new):
                name = name.removesuffix(new) + old  # noqa: PLW2901 - the name is what is being rewritten
        renamed[name] = tensor
    return renamed


def weight_normed(plain: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes a file holds for convolutions under weight norm: gain and direction in place of each weight."""
    normed: dict[str, Shape] = {}
    for name, shape in plain.items():
        if name.endswith(".weight"):
            owner = name.removesuffix("weight")
            normed[owner + _GAIN] = (shape[0], *(1 for _ in shape[1:]))
            normed[owner + _DIRECTION] = shape
        else:
            normed[name] = shape
    return normed


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replaces each gain and direction by the weight they stand for: `g * v / ||v||`.

    The norm runs over all dimensions but the first, which for a transposed convolution is its input channel.
    """
    folded: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith("." + _DIRECTION):
            owner = name.removesuffix(_DIRECTION)
            norm = torch.linalg.vector_norm(tensor, dim=tuple(range(1, tensor.ndim)), keepdim=True)
            folded[owner + "weight"] = state[owner + _GAIN] * tensor / norm
        elif not name.endswith("." + _GAIN):
            folded[name] = tensor
    return folded


def assign(module: nn.Module, state: Mapping[str, Tensor], device: torch.device) -> None:
    """Puts checked tensors in place of a module's parameters, as float32 on a device, and freezes it.

    They are copied: pages of a mapped file may be dropped under memory pressure, to be read again amid a request.
    """
    placed = {name: tensor.to(device=device, dtype=torch.float32, copy=True) for name, tensor in state.items()}
    module.load_state_dict(placed, strict=True, assign=True)
    module.requires_grad_(requires_grad=False).eval()
