"""EmotiVoice behind the engine's Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from inference_server.engines.engine import BatchLimits, Kind, Phases, Rehearsal
from inference_server.engines.synthesis import Sentence, Wish
from inference_server.errors import InvalidOption, Reason, Refusal

if TYPE_CHECKING:
    from inference_server.audio.samples import Pcm
    from inference_server.engines.emotivoice.errors import RequestRefused
    from inference_server.engines.emotivoice.synthesis import Piece, Synthesizer

# The engine pads only what pays, whatever it is given; here a short sentence is kept from waiting for a long one.
_CPU_BATCHES = BatchLimits(max_pieces=4, max_padded_cost=400.0, call_cost=16.0, max_shared_cost=256.0)
_GPU_BATCHES = BatchLimits(max_pieces=32, max_padded_cost=8000.0, call_cost=64.0, max_shared_cost=512.0)


_PHASES = {"warm_up": "warmup"}
"""The engine's names of phases where they differ from the metric's."""


@dataclass(frozen=True, slots=True)
class EmotiVoiceSettings:
    """Where the model is and how it runs.

    Attributes:
        model: its directory, laid out as upstream's.
        device: `cpu`, `cuda`, `cuda:0`; a device that is not there is an error, not the CPU.
        threads: of torch; not above the CPU limit of the pod.
        max_characters: of one text.
        name: for `/v1/models`.
    """

    model: str
    device: str = "cpu"
    threads: int = 1
    max_characters: int = 4096
    name: str = "emoti-voice"

    def __post_init__(self) -> None:
        if not Path(self.model).is_dir():
            raise InvalidOption(f"--option model={self.model}: no such folder")
        if self.threads < 1:
            raise InvalidOption(f"--option threads={self.threads}: must be at least 1")


class EmotiVoice:
    """Speaks sentences; sentences of different requests share batches."""

    kind: Kind = "synthesis"
    slots = 1

    def __init__(self, settings: EmotiVoiceSettings) -> None:
        self._settings = settings
        self._loaded: Synthesizer | None = None
        self.model = settings.name
        self.device = settings.device
        self.batching = _CPU_BATCHES if settings.device == "cpu" else _GPU_BATCHES

    def load(self, phase: Phases) -> Rehearsal | None:
        """Import, load, warm up.

        Raises:
            InvalidModel: the directory is not a model's.
            RuntimeError: the device is not there.
        """
        with phase("import"):
            import torch

            from inference_server.engines.emotivoice.synthesis import Limits, load
        if self.device != "cpu" and not torch.cuda.is_available():
            raise RuntimeError(f"device {self.device} was asked for, but torch sees no GPU")
        torch.set_num_threads(self._settings.threads)
        limits = Limits(characters=self._settings.max_characters)
        self._loaded = load(
            Path(self._settings.model), self.device, limits=limits, phase=lambda name: phase(_PHASES.get(name, name))
        )
        return None if self._loaded.rehearsed is None else Rehearsal(*self._loaded.rehearsed)

    @property
    def _synthesizer(self) -> Synthesizer:
        if self._loaded is None:
            raise RuntimeError("the model is not loaded")
        return self._loaded

    @property
    def rate_hz(self) -> int:
        """Of the sound it makes."""
        return self._synthesizer.sample_rate_hz

    @property
    def reference_rate_hz(self) -> int:
        """Of reference audio."""
        return self._synthesizer.sample_rate_hz

    @property
    def voices(self) -> Sequence[str]:
        """Names of the model's speakers."""
        return self._synthesizer.voices if self._loaded else ()

    def plan(self, wish: Wish) -> Sequence[Sentence]:
        """Cut a text into sentences.

        Raises:
            Refusal: the wish cannot be met.
        """
        from inference_server.engines.emotivoice.errors import RequestRefused

        try:
            voice = wish.voice if wish.reference is None else self._synthesizer.clone(wish.reference)
            pieces = self._synthesizer.plan(wish.text, voice, wish.prompt, wish.speed)
        except RequestRefused as refused:
            raise _refusal(refused) from refused
        return [Sentence(piece, piece.cost) for piece in pieces]

    def run(self, batch: Sequence[Sentence]) -> Sequence[Pcm]:
        """The sound of each sentence."""
        from inference_server.engines.emotivoice.errors import RequestRefused

        try:
            return self._synthesizer.render([cast("Piece", sentence.planned) for sentence in batch])
        except RequestRefused as refused:
            raise _refusal(refused) from refused


def _refusal(refused: RequestRefused) -> Refusal:
    from inference_server.engines.emotivoice import errors

    table: dict[type[RequestRefused], tuple[Reason, str, str]] = {
        errors.UnknownVoice: ("bad_request", "voice_not_found", "voice"),
        errors.NothingToSpeak: ("bad_request", "nothing_to_speak", "input"),
        errors.TextTooLong: ("too_long", "text_too_long", "input"),
        errors.AudioTooLong: ("too_long", "audio_too_long", "input"),
        errors.InvalidSpeed: ("bad_request", "invalid_value", "speed"),
        errors.InvalidReferenceAudio: ("bad_audio", "invalid_audio", "reference_audio"),
        errors.CloningUnavailable: ("bad_request", "cloning_unavailable", "reference_audio"),
    }
    reason, code, param = table.get(type(refused), ("bad_request", "invalid_value", "input"))
    return Refusal(400, reason, str(refused), code=code, param=param)
