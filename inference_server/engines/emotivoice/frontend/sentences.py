"""Long texts to pieces: at sentence marks, then at clauses, then wherever a piece would grow too large.

Upstream never splits; a text beyond 510 BERT pieces fails there (its issue 139), and no sound comes before the whole
text is done.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

_CLOSING = "”’」』》〉】）)\"'"
# A dot ends a sentence only before white space, so that 3.14, example.com and U.S.A. stay whole.
_SENTENCE_END = re.compile(rf"(?:[。！？…!?]+[{_CLOSING}]*|\.+[{_CLOSING}]*(?=\s|$)|\n)\s*")
_CLAUSE_END = re.compile(rf"(?:[，、；：;—]+[{_CLOSING}]*|[,:](?=\s|$))\s*")
_WORD_END = re.compile(r"\s+")
_ABBREVIATION = re.compile(
    r"(?:^|[^a-z])(?:[a-z]|mr|mrs|ms|dr|prof|st|vs|jr|sr|no|inc|ltd|co|e\.g|i\.e)\.\s*\Z", re.IGNORECASE
)


def split_text(text: str, size: Callable[[str], int], most: int) -> list[str]:
    """Splits a text into pieces that together are the text.

    Args:
        text: any text.
        size: how large a text is; must not shrink when the text grows.
        most: the size no piece may exceed, unless it is a single character.
    """
    pieces: list[str] = []
    for sentence in _sentences(text):
        pieces += [sentence] if size(sentence) <= most else _packed(sentence, size, most)
    return pieces


def _sentences(text: str) -> Iterator[str]:
    start = ""
    for part in _split_after(_SENTENCE_END, text):
        start += part
        if not _ABBREVIATION.search(start):
            yield start
            start = ""
    if start:
        yield start


def _packed(sentence: str, size: Callable[[str], int], most: int) -> list[str]:
    """Clauses of a sentence joined while they fit; a clause too large by itself is cut between words, or anywhere."""
    fitting = _cut_where_needed(_split_after(_CLAUSE_END, sentence), size, most)
    return _joined(fitting, size, most)


def _cut_where_needed(clauses: Iterable[str], size: Callable[[str], int], most: int) -> Iterator[str]:
    for clause in clauses:
        if size(clause) <= most:
            yield clause
            continue
        for word in _joined(_split_after(_WORD_END, clause), size, most):
            yield from [word] if size(word) <= most else _cut(word, size, most)


def _joined(parts: Iterable[str], size: Callable[[str], int], most: int) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if joined and size(joined[-1] + part) <= most:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def _cut(word: str, size: Callable[[str], int], most: int) -> Iterator[str]:
    while word:
        lengths = range(1, len(word) + 1)
        end = max(1, bisect_right(lengths, most, key=lambda length: size(word[:length])))
        yield word[:end]
        word = word[end:]


def _split_after(pattern: re.Pattern[str], text: str) -> list[str]:
    ends = [match.end() for match in pattern.finditer(text)]
    bounds = [0, *(end for end in ends if end < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(bounds) if start < end]
