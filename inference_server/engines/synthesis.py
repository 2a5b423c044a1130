"""What a speech synthesiser takes and gives."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from inference_server.audio.samples import Pcm, Samples
from inference_server.engines.engine import Engine


@dataclass(frozen=True, slots=True)
class Sentence:
    """A piece of text, ready for the model.

    Attributes:
        planned: what the engine made of it; opaque to everybody else.
        cost: work in the engine's unit.
    """

    planned: object
    cost: float

    @property
    def group(self) -> Hashable:
        """Sentences of any requests may share a batch."""
        return None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be said, and how.

    Attributes:
        text: to be said.
        voice: a name of the model's voices.
        prompt: style or emotion in words; empty for none.
        speed: 1 is the model's own.
        reference: instead of a named voice, speak like this: mono float32 at `reference_rate_hz` of the engine.
    """

    text: str
    voice: str
    prompt: str = ""
    speed: float = 1.0
    reference: Samples | None = None


class SpeechSynthesizer(Engine[Sentence, Pcm], Protocol):
    """An engine for speech synthesis."""

    @property
    def rate_hz(self) -> int:
        """Of the sound it makes."""

    @property
    def reference_rate_hz(self) -> int:
        """Of reference audio."""

    @property
    def voices(self) -> Sequence[str]:
        """Names; the first is the default. Known once it is loaded."""

    def plan(self, wish: Wish) -> Sequence[Sentence]:
        """Cut a text into sentences; may be called from any thread.

        Raises:
            Refusal: the wish cannot be met: unknown voice, nothing to say, too long, no such feature.
        """
