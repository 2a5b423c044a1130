"""The three networks, filled from the checkpoints of a model directory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from inference_server.engines.emotivoice import checkpoint
from inference_server.engines.emotivoice.acoustic import AcousticModel, alignment_shapes
from inference_server.engines.emotivoice.config import ModelConfig, ModelDirectory
from inference_server.engines.emotivoice.layers import channels_last
from inference_server.engines.emotivoice.style import StyleEncoder
from inference_server.engines.emotivoice.vocoder import Vocoder

_ACOUSTIC, _ALIGNMENT, _VOCODER = "am.", "am.alignment_module.", "generator."
_STYLE, _BERT = "module.", "bert."


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of one model, on one device, ready for inference."""

    style: StyleEncoder
    acoustic: AcousticModel
    vocoder: Vocoder
    device: torch.device


def load_networks(directory: ModelDirectory, config: ModelConfig, device: torch.device) -> Networks:
    """Reads both checkpoints and builds the networks from them.

    Raises:
        InvalidModel: a checkpoint that cannot be read, or whose names and shapes are not the model's.
    """
    joint = checkpoint.read_tensors(directory.joint_checkpoint, "generator")
    acoustic, vocoder = joint_networks(directory.joint_checkpoint, joint, config, device)
    found = checkpoint.read_tensors(directory.style_checkpoint, "model")
    style = style_encoder(directory.style_checkpoint, found, directory.base_bert, config, device)
    return Networks(style=style, acoustic=acoustic, vocoder=vocoder, device=device)


def joint_networks(
    path: Path, state: Mapping[str, Tensor], config: ModelConfig, device: torch.device
) -> tuple[AcousticModel, Vocoder]:
    """Acoustic model and vocoder from the tensors of a joint checkpoint; `path` names them in errors.

    Strict: a name too many, too few or of another shape is an error, the aligner's included, which is then left out.

    Raises:
        InvalidModel: every parameter that does not fit, by name.
    """
    with torch.device("meta"):
        acoustic, vocoder = AcousticModel(config.acoustic), Vocoder(config.vocoder)
    state = checkpoint.with_old_weight_norm_names(state)
    expected = checkpoint.shapes(acoustic, _ACOUSTIC)
    expected |= {_ACOUSTIC + name: shape for name, shape in alignment_shapes(config.acoustic).items()}
    expected |= checkpoint.weight_normed(checkpoint.shapes(vocoder, _VOCODER))
    checkpoint.require(path, state, expected)
    kept = _under(_ACOUSTIC, state, without=_ALIGNMENT)
    checkpoint.assign(acoustic, {name: _as_convolved(tensor) for name, tensor in kept.items()}, device)
    checkpoint.assign(vocoder, checkpoint.fold_weight_norm(_under(_VOCODER, state)), device)
    # What is not a parameter was made on the CPU.
    return acoustic.to(device), vocoder.to(device)


def style_encoder(
    path: Path, state: Mapping[str, Tensor], base: Path, config: ModelConfig, device: torch.device
) -> StyleEncoder:
    """The style encoder from the tensors of a style checkpoint; `path` names them in errors.

    Not strict: heads and `position_ids` lie beside the BERT, and have no part in its output. Names the checkpoint lacks
    are read from `base`, where that file exists.

    Raises:
        InvalidModel: every parameter that is missing or has another shape, by name.
    """
    with torch.device("meta"):
        style = StyleEncoder(config.bert)
    prefix = _STYLE + _BERT
    expected = checkpoint.shapes(style, prefix)
    found = {name: state[name] for name in expected if name in state}
    if len(found) < len(expected) and base.is_file():
        more = {_STYLE + name: tensor for name, tensor in checkpoint.read_tensors(base, None).items()}
        found = {name: more[name] for name in expected if name in more} | found
    checkpoint.require(path, found, expected)
    checkpoint.assign(style, _under(prefix, found), device)
    return style


def _under(prefix: str, state: Mapping[str, Tensor], without: str | None = None) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix) and not (without and name.startswith(without))
    }


def _as_convolved(tensor: Tensor) -> Tensor:
    """Kernels `(C', C, taps)` with their channels last, as `layers.Convolution` reads them; others as they are."""
    return channels_last(tensor) if tensor.ndim == 3 else tensor
