"""What a speech recogniser takes and gives, and the tags in what it writes."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from inference_server.engines.engine import Engine

if TYPE_CHECKING:
    from inference_server.audio.samples import Samples
    from inference_server.audio.spans import Span

Language = Literal["auto", "zh", "en", "yue", "ja", "ko", "nospeech"]
RATE_HZ = 16_000

_TAG = re.compile(r"<\|([^|]*)\|>")
_LANGUAGES = frozenset({"zh", "en", "yue", "ja", "ko", "nospeech"})
_EMOTIONS = frozenset({"HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED", "EMO_UNKNOWN"})
_EVENTS = frozenset(
    {"Speech", "BGM", "Applause", "Laughter", "Cry", "Sneeze", "Breath", "Cough", "Sing", "Speech_Noise", "GBG"}
    | {"Event_UNK"}
)


@dataclass(frozen=True, slots=True)
class Options:
    """How a clip is to be recognised.

    Attributes:
        language: `auto` lets the model tell.
        use_itn: write numbers and punctuation (inverse text normalization) instead of spoken words.
        words: also tell when each word was said.
    """

    language: Language = "auto"
    use_itn: bool = True
    words: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Sound to be recognised in one piece.

    Attributes:
        samples: mono float32 in -1..1 at `RATE_HZ`.
        options: of its request.
    """

    samples: Samples
    options: Options

    @property
    def cost(self) -> float:
        """Seconds of audio."""
        return self.samples.size / RATE_HZ

    @property
    def group(self) -> Hashable:
        """Options hold for a whole call of the model."""
        return self.options


@dataclass(frozen=True, slots=True)
class Word:
    """One word (one character in Chinese and Japanese) and when it was said, in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model wrote for one clip.

    Attributes:
        raw: with its tags.
        words: relative to the clip; empty unless asked for.
    """

    raw: str
    words: tuple[Word, ...] = ()


class Recognizer(Engine[Clip, Heard], Protocol):
    """An engine for speech recognition."""

    @property
    def max_clip_s(self) -> float:
        """Longer recordings are cut by `split` first."""

    def split(self, samples: Samples) -> Sequence[Span]:
        """The parts of a long recording that hold speech; may be called from any thread."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A raw text taken apart. A field is None where the model gave no such tag."""

    text: str
    language: str | None
    emotion: str | None
    event: str | None


def parse_tags(raw: str) -> Tagged:
    """Take the tags out of a raw text; tags of no known kind are dropped.

    Emotions and events are given in lower case, the model's two words for not knowing (`EMO_UNKNOWN`, `Event_UNK`) as
    `unknown`. Where a tag of one kind stands several times, the first counts: it is the one at the model's tag frame.
    """
    tags = _TAG.findall(raw)

    def first(known: frozenset[str]) -> str | None:
        return next((tag for tag in tags if tag in known), None)

    def plain(tag: str | None) -> str | None:
        return "unknown" if tag in {"EMO_UNKNOWN", "Event_UNK"} else tag and tag.lower()

    return Tagged(_TAG.sub("", raw).strip(), first(_LANGUAGES), plain(first(_EMOTIONS)), plain(first(_EVENTS)))
