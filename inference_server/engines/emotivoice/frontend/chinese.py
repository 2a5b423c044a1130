"""Chinese text to phonemes: words by jieba, readings by pypinyin with the CC-CEDICT phrases."""

import string
import warnings
from collections.abc import Callable, Iterable
from typing import Protocol

from inference_server.engines.emotivoice.frontend.pinyin import syllable_tokens

MARKS = "。，？！；：“”‘’《》〈〉【】『』—…、（）"
PAUSE_IN_WORD, PAUSE_AFTER_WORD, PAUSE_AT_MARK = "sp0", "sp1", "sp3"
# Their dictionary readings are words of several syllables, abbreviated, or none: upstream fails on them.
UNREADABLE = "兙兡嗧噷桛烪瓧瓰瓱瓼甅"

_UNSPOKEN = frozenset(MARKS + string.punctuation)


class Segmenter(Protocol):
    """Splits a text into words."""

    def __call__(self, text: str) -> Iterable[str]:
        """The words, in order, spaces and marks included."""


class Chinese:
    """Phonemes of Chinese runs of text.

    Args:
        segment: splits a run into words.
        read: the syllables of a word, tone digits at their ends.
    """

    def __init__(self, segment: Segmenter, read: Callable[[str], list[str]]) -> None:
        self._segment = segment
        self._read = read

    def phonemes(self, run: str) -> list[str]:
        """Tokens of a run: syllables of a word apart by `sp0`, words by `sp1`, marks as `sp3`."""
        tokens: list[str] = []
        for word in self._segment(run):
            if word in _UNSPOKEN:
                if tokens:
                    tokens[-1] = PAUSE_AT_MARK
            elif not word.isspace():
                tokens += self._word(word)
        return tokens

    def _word(self, word: str) -> list[str]:
        tokens: list[str] = []
        for syllable in self._read(word):
            tokens += [*syllable_tokens(syllable), PAUSE_IN_WORD]
        return [*tokens[:-1], PAUSE_AFTER_WORD]


def load_chinese() -> Chinese:
    """Reads the dictionaries of jieba and pypinyin; about a second of CPU time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba 0.42.1 is older than the rule on backslashes in plain strings
        import jieba
    import pypinyin
    from pypinyin_dict.phrase_pinyin_data import cc_cedict

    cc_cedict.load()
    words = jieba.Tokenizer()
    # What `initialize` does, without its cache file: a predictable name in the shared temporary folder, unmarshalled.
    words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
    words.initialized = True

    def read(word: str) -> list[str]:
        syllables: list[str] = pypinyin.lazy_pinyin(word, style=pypinyin.Style.TONE3, neutral_tone_with_five=True)
        return syllables

    return Chinese(segment=lambda text: words.cut(text, HMM=True), read=read)
