"""Mixed text to phoneme ids."""

import re
from collections.abc import Sequence
from pathlib import Path

from inference_server.engines.emotivoice.config import SENTENCE_MARK
from inference_server.engines.emotivoice.frontend.chinese import MARKS, UNREADABLE, Chinese, load_chinese
from inference_server.engines.emotivoice.frontend.english import English, load_english
from inference_server.engines.emotivoice.frontend.numerals import spell_numbers

ENGLISH_TO_CHINESE, CHINESE_TO_ENGLISH = "eng_cn_sp", "cn_eng_sp"

_HAN = "\u4e00-\u9fa5"
# Marks right after Chinese stay with it; marks before it belong to the run of other signs.
_RUN = re.compile(f"[^{_HAN}]+|[{_HAN} {re.escape(MARKS)}]+")
_IS_HAN = re.compile(f"[{_HAN}]")
_LEFT_OUT = str.maketrans("", "", UNREADABLE)


class Phonemizer:
    """Turns texts into the model's tokens.

    Args:
        tokens: the model's token list.
        chinese: phonemes of Chinese runs.
        english: phonemes of all other runs.
    """

    def __init__(self, tokens: Sequence[str], chinese: Chinese, english: English) -> None:
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._chinese = chinese
        self._english = english

    def phonemes(self, text: str) -> list[str]:
        """Tokens of a text between two sentence marks; empty when it holds nothing to speak.

        Tokens the model does not know are left out.
        """
        tokens = [token for token in self._spoken(text) if token in self._ids]
        if all(is_pause(token) for token in tokens):
            return []
        return [SENTENCE_MARK, *tokens, SENTENCE_MARK]

    def ids(self, text: str) -> list[int]:
        """Ids of `phonemes`."""
        return [self._ids[token] for token in self.phonemes(text)]

    def _spoken(self, text: str) -> list[str]:
        tokens: list[str] = []
        language: object = None
        for run in _RUN.findall(spell_numbers(text.translate(_LEFT_OUT))):
            if run == " ":
                continue
            spoken_by = self._chinese if _IS_HAN.search(run) else self._english
            phonemes = spoken_by.phonemes(run)
            if not phonemes:
                continue
            if language not in (None, spoken_by):
                tokens += _switch(tokens[-1], to_chinese=spoken_by is self._chinese)
            tokens += phonemes
            language = spoken_by
        if tokens and is_pause(tokens[-1]):
            tokens.pop()
        return tokens


def is_pause(token: str) -> bool:
    """Whether a token is a pause or a language switch: every such name holds `sp`, and no phone's does."""
    return "sp" in token


def _switch(last: str, *, to_chinese: bool) -> list[str]:
    if to_chinese:
        return [ENGLISH_TO_CHINESE]
    return [] if is_pause(last) else [CHINESE_TO_ENGLISH]


def load_phonemizer(tokens: Sequence[str], lexicon: Path | None) -> Phonemizer:
    """Reads every dictionary; about two seconds of CPU time.

    Raises:
        InvalidModel: a lexicon file that is none.
    """
    return Phonemizer(tokens, load_chinese(), load_english(lexicon))
