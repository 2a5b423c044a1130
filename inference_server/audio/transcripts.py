"""A transcript and the forms in which it is written. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from inference_server.engines.recognition import Heard, Word, parse_tags

_CUE_S = 6.0
_CUE_PAUSE_S = 0.8
_CUE_CHARACTERS = 84
_UNSPACED = frozenset({"zh", "yue", "ja"})


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a recording, recognised in one piece; times in seconds from its start."""

    start_s: float
    end_s: float
    raw: str
    text: str
    language: str | None
    emotion: str | None
    event: str | None
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole recording. Without speech it has no segments, or segments without text."""

    duration_s: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """Everything that was said."""
        return join_texts([(segment.text, segment.language) for segment in self.segments])

    @property
    def raw(self) -> str:
        """With the model's tags."""
        return " ".join(segment.raw for segment in self.segments)

    @property
    def language(self) -> str | None:
        """What was spoken longest."""
        return _longest((segment.language, segment) for segment in self.segments)

    @property
    def emotion(self) -> str | None:
        """What was felt longest."""
        return _longest((segment.emotion, segment) for segment in self.segments)

    @property
    def event(self) -> str | None:
        """What was heard longest."""
        return _longest((segment.event, segment) for segment in self.segments)


def make_segment(start_s: float, end_s: float, heard: Heard) -> Segment:
    """What the model wrote for one stretch, with its tags as fields and its times in the recording's."""
    tagged = parse_tags(heard.raw)
    words = tuple(Word(word.text, word.start_s + start_s, word.end_s + start_s) for word in heard.words)
    return Segment(start_s, end_s, heard.raw, tagged.text, tagged.language, tagged.emotion, tagged.event, words)


def join_texts(parts: Sequence[tuple[str, str | None]]) -> str:
    """Texts with their languages as one: no blank between two parts of languages that write none."""
    spoken = [(text, language) for text, language in parts if text]
    joined = spoken[0][0] if spoken else ""
    for (_, before), (text, after) in pairwise(spoken):
        joined += text if before in _UNSPACED and after in _UNSPACED else f" {text}"
    return joined


def plain_json(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's `json`, with language, emotion and event beside the text."""
    return {
        "text": transcript.text,
        "language": transcript.language,
        "emotion": transcript.emotion,
        "event": transcript.event,
        "usage": {"type": "duration", "seconds": transcript.duration_s},
    }


def verbose_json(transcript: Transcript, *, words: bool) -> dict[str, Any]:
    """OpenAI's `verbose_json`, with language, emotion and event for every segment.

    Fields that only an autoregressive model has (log probabilities) are left out rather than made up.
    """
    answer = {
        "task": "transcribe",
        "duration": transcript.duration_s,
        **plain_json(transcript),
        "segments": [
            {
                "id": position,
                "seek": round(segment.start_s * 100),
                "start": segment.start_s,
                "end": segment.end_s,
                "text": segment.text,
                "language": segment.language,
                "emotion": segment.emotion,
                "event": segment.event,
            }
            for position, segment in enumerate(transcript.segments)
        ],
    }
    if words:
        answer["words"] = [
            {"word": word.text, "start": word.start_s, "end": word.end_s}
            for segment in transcript.segments
            for word in segment.words
        ]
    return answer


def srt(transcript: Transcript) -> str:
    """SubRip."""
    cues = enumerate(_cues(transcript), start=1)
    return "".join(f"{n}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n\n" for n, (start, end, text) in cues)


def vtt(transcript: Transcript) -> str:
    """WebVTT; text is escaped as its grammar asks."""
    cues = [
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_escape(text)}\n\n" for start, end, text in _cues(transcript)
    ]
    return "WEBVTT\n\n" + "".join(cues)


def _longest(values: Iterable[tuple[str | None, Segment]]) -> str | None:
    seconds: dict[str, float] = defaultdict(float)
    for value, segment in values:
        if value is not None:
            seconds[value] += segment.end_s - segment.start_s
    return max(seconds, key=lambda value: seconds[value], default=None)


def _cues(transcript: Transcript) -> list[tuple[float, float, str]]:
    return [cue for segment in transcript.segments if segment.text for cue in _segment_cues(segment)]


def _segment_cues(segment: Segment) -> list[tuple[float, float, str]]:
    """Cut at pauses and at what a viewer can read at once; without word times the segment is one cue."""
    if not segment.words:
        return [(segment.start_s, segment.end_s, segment.text)]
    groups: list[list[Word]] = [[segment.words[0]]]
    for word in segment.words[1:]:
        group = groups[-1]
        full = word.end_s - group[0].start_s > _CUE_S or sum(len(w.text) + 1 for w in group) > _CUE_CHARACTERS
        if full or word.start_s - group[-1].end_s > _CUE_PAUSE_S:
            groups.append([word])
        else:
            group.append(word)
    if len(groups) == 1:  # the text itself knows its blanks better than the words do
        return [(segment.words[0].start_s, segment.words[-1].end_s, segment.text)]
    blank = "" if segment.language in _UNSPACED else " "
    return [(group[0].start_s, group[-1].end_s, blank.join(word.text for word in group)) for group in groups]


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
