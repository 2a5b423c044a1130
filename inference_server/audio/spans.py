"""Where to cut long audio. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of samples, the end excluded."""

    start: int
    end: int

    @property
    def samples(self) -> int:
        """How long it is."""
        return self.end - self.start


def merge_spans(speech: Sequence[Span], target: int, margin: int, length: int) -> list[Span]:
    """Join neighbouring spans of speech, pauses included, up to `target` samples.

    Tight cuts lose words at the edges, and a lone short word disappears; decoding the pauses costs little
    (research: speech, 2d).

    Args:
        speech: ascending, not overlapping.
        target: longest joined span; a span that is longer by itself stays as it is.
        margin: samples of the surroundings that are kept at both ends, as far as the neighbours leave room.
        length: of the whole recording.
    """
    joined: list[Span] = []
    for span in speech:
        if joined and span.end - joined[-1].start <= target:
            joined[-1] = Span(joined[-1].start, span.end)
        else:
            joined.append(span)
    if not joined:
        return []
    edges = [0, *((a.end + b.start) // 2 for a, b in pairwise(joined)), length]
    return [
        Span(max(left, span.start - margin), min(right, span.end + margin))
        for span, left, right in zip(joined, edges[:-1], edges[1:], strict=True)
    ]
