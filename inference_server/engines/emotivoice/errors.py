"""What can be wrong with a request or with a model directory, as types a server can map to answers."""

from collections.abc import Sequence
from pathlib import Path

_SHOWN_PROBLEMS = 20


class EmotiVoiceError(Exception):
    """Base of everything this engine refuses."""


class RequestRefused(EmotiVoiceError):
    """The request cannot be spoken; the message tells the caller why."""


class UnknownVoice(RequestRefused):
    """The model knows no voice of that name."""

    def __init__(self, voice: str, known: Sequence[str]) -> None:
        examples = ", ".join(known[:5])
        super().__init__(f"unknown voice {voice[:64]!r}: the model has {len(known)} voices, for example {examples}")
        self.voice = voice


class NothingToSpeak(RequestRefused):
    """The text is empty, or holds nothing but marks, spaces and signs without a reading."""

    def __init__(self) -> None:
        super().__init__("the text holds nothing that can be spoken")


class TextTooLong(RequestRefused):
    """The text has more characters than one request may have."""

    def __init__(self, what: str, length: int, allowed: int) -> None:
        super().__init__(f"{what} has {length} characters; at most {allowed} are allowed")
        self.length = length
        self.allowed = allowed


class InvalidSpeed(RequestRefused):
    """The speed is not a number within the allowed range."""


class InvalidReferenceAudio(RequestRefused):
    """The reference audio is too short, too long, silent or not finite."""


class CloningUnavailable(RequestRefused):
    """The model directory holds no speaker encoder, so no voice can be made from reference audio."""


class AudioTooLong(RequestRefused):
    """The predicted durations exceed what one piece of text may become."""


class InvalidModel(EmotiVoiceError):
    """A model directory or one of its files is not what the engine needs; one line per problem."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        shown = list(problems[:_SHOWN_PROBLEMS])
        if len(problems) > _SHOWN_PROBLEMS:
            shown.append(f"... and {len(problems) - _SHOWN_PROBLEMS} more")
        super().__init__("\n".join(f"{path}: {problem}" for problem in shown))
        self.path = path
        self.problems = tuple(problems)
