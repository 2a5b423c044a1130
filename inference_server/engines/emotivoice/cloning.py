"""Voices from reference audio, where the model directory brings an encoder for them.

The published model has none. A directory that holds `speaker_encoder.onnx` does: one float32 input `(1, samples)` of
mono audio at 16 kHz, one float32 output `(1, width)`, a voice vector as the acoustic model's voice table holds them.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference_server.engines.emotivoice.config import SAMPLE_RATE_HZ
from inference_server.engines.emotivoice.errors import InvalidModel, InvalidReferenceAudio

SHORTEST_S, LONGEST_S = 3.0, 10.0
_QUIETEST_PEAK = 1e-3  # -60 dB of full scale: nothing to hear a voice in


class SpeakerEncoder(Protocol):
    """Makes a voice vector `(width)` from mono audio `(samples)` at 16 kHz."""

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector of the voice heard."""


def check_reference(samples: NDArray[np.float32]) -> None:
    """Checks reference audio: mono at 16 kHz, full scale 1.

    Raises:
        InvalidReferenceAudio: not one channel, not 3 to 10 seconds, not finite, or as good as silent.
    """
    if samples.ndim != 1:
        raise InvalidReferenceAudio(f"reference audio must be mono; it has the shape {samples.shape}")
    seconds = len(samples) / SAMPLE_RATE_HZ
    if not SHORTEST_S <= seconds <= LONGEST_S:
        allowed = f"{SHORTEST_S:g} to {LONGEST_S:g} s"
        raise InvalidReferenceAudio(f"reference audio lasts {seconds:.2f} s; allowed: {allowed}")
    if not np.isfinite(samples).all():
        raise InvalidReferenceAudio("reference audio holds values that are no numbers")
    if np.abs(samples).max() < _QUIETEST_PEAK:
        raise InvalidReferenceAudio("reference audio is silent")


class OnnxSpeakerEncoder:
    """A speaker encoder run by ONNX Runtime.

    Raises:
        InvalidModel: no ONNX file, not one input and one output, or ONNX Runtime is not installed.
    """

    def __init__(self, path: Path, width: int) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            hint = "needs onnxruntime: pip install 'speech-autoscaler[onnx]'"
            raise InvalidModel(path, [hint]) from error
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a class of its own for each kind of bad file
            raise InvalidModel(path, [f"cannot be loaded: {error}"]) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise InvalidModel(path, [f"has {len(inputs)} inputs and {len(outputs)} outputs, not one of each"])
        if outputs[0].shape[-1] != width:
            raise InvalidModel(path, [f"makes vectors of {outputs[0].shape[-1]} numbers; the model's have {width}"])
        self._input = inputs[0].name

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(samples)` to `(width)`."""
        (vectors,) = self._session.run(None, {self._input: samples[None].astype(np.float32)})
        voice: NDArray[np.float32] = vectors[0]
        return voice
