"""Export of acoustic model and vocoder to ONNX, for runtimes other than torch.

Run as `python -m inference_server.engines.emotivoice.onnx_export MODEL FOLDER`; needs the extra `onnx`.
"""

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from inference_server.engines.emotivoice.acoustic import AcousticModel, sounding, spread
from inference_server.engines.emotivoice.config import ModelConfig, ModelDirectory, read_config
from inference_server.engines.emotivoice.errors import InvalidModel
from inference_server.engines.emotivoice.networks import load_networks

_OPSET = 17
_EXAMPLE_TOKENS, _EXAMPLE_FRAMES = 11, 13


class SingleSentence(nn.Module):
    """The acoustic model for one sentence, from ids to mel, with the number of frames as the model predicts it."""

    def __init__(self, acoustic: AcousticModel) -> None:
        super().__init__()
        self.acoustic = acoustic

    def forward(self, ids: Tensor, voice: Tensor, style: Tensor, content: Tensor, speed: Tensor) -> Tensor:
        """Token ids `(1, T)`, speaker `(1)`, vectors `(1, S)` and speed `(1)` to mel `(1, F, mel)`."""
        prosody = self.acoustic.plan(ids, None, self.acoustic.spk_tokenizer(voice), style, content)
        durations = sounding(prosody.durations(speed), None)
        count = cast("int", durations.sum().long())  # not a number yet: the traced graph computes it
        frames = spread(prosody.spoken, durations, None, count)
        _, mel = self.acoustic.render(frames, None)
        return mel


def export(root: Path, folder: Path) -> tuple[Path, Path]:
    """Writes `acoustic.onnx` and `vocoder.onnx` of a model directory into a folder.

    Inputs and outputs are those of `SingleSentence.forward`, by name, and `mel` to `wave` for the vocoder; tokens,
    frames and samples may have any length, tokens and frames up to 5,000.

    Raises:
        InvalidModel: a file of the model directory is missing or is not what it should be.
    """
    directory = ModelDirectory.find(root)
    config = read_config(directory)
    networks = load_networks(directory, config, torch.device("cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    acoustic, vocoder = folder / "acoustic.onnx", folder / "vocoder.onnx"
    _write(
        acoustic,
        SingleSentence(networks.acoustic).eval(),
        _sentence(config),
        output="mel",
        lengths={"ids": {1: "tokens"}, "mel": {1: "frames"}},
    )
    mel = {"mel": torch.zeros(1, _EXAMPLE_FRAMES, config.acoustic.mel)}
    _write(vocoder, networks.vocoder, mel, output="wave", lengths={"mel": {1: "frames"}, "wave": {1: "samples"}})
    return acoustic, vocoder


def _sentence(config: ModelConfig) -> dict[str, Tensor]:
    vector = torch.zeros(1, config.acoustic.style_width)
    return {
        "ids": torch.ones(1, _EXAMPLE_TOKENS, dtype=torch.int64),
        "voice": torch.zeros(1, dtype=torch.int64),
        "style": vector,
        "content": vector,
        "speed": torch.ones(1),
    }


def _write(
    path: Path,
    module: nn.Module,
    example: Mapping[str, Tensor],
    *,
    output: str,
    lengths: Mapping[str, Mapping[int, str]],
) -> None:
    partial = path.with_suffix(".partial")
    with warnings.catch_warnings(), torch.inference_mode():
        # The exporter that traces needs no further package; it announces its successor, and every shape it fixes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(example.values()),
            partial,
            input_names=list(example),
            output_names=[output],
            dynamic_axes=lengths,
            opset_version=_OPSET,
            dynamo=False,
        )
    partial.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 when the model directory cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m inference_server.engines.emotivoice.onnx_export")
    parser.add_argument("model", type=Path, help="model directory")
    parser.add_argument("folder", type=Path, help="where acoustic.onnx and vocoder.onnx are written")
    chosen = parser.parse_args(arguments)
    try:
        written = export(chosen.model, chosen.folder)
    except InvalidModel as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
