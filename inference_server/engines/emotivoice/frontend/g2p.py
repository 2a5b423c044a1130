"""English words outside every dictionary to phones: the GRU pair of g2p_en, read straight from that package.

Importing g2p_en itself would fetch NLTK data; its weights need nothing of it.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

_GRAPHEMES = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_CONSONANTS = (*"BDFGKLMNPRSTVWYZ", "CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH")
# 70 ARPAbet names in alphabetical order; the plain UW among them is not a phone the voice model knows.
_PHONES = tuple(sorted([*(vowel + stress for vowel in _VOWELS for stress in "012"), *_CONSONANTS, "UW"]))
_OUTPUTS = ("<pad>", "<unk>", "<s>", "</s>", *_PHONES)
_UNKNOWN, _END_OF_WORD, _START, _END = 1, 2, 2, 3
_MOST_PHONES = 20
_REMEMBERED_WORDS = 4096


class GraphemesToPhonemes:
    """Guesses how a word is said; remembers the last few thousand."""

    def __init__(self, weights: Mapping[str, Vector]) -> None:
        self._encode = _Recurrence(weights, "enc")
        self._decode = _Recurrence(weights, "dec")
        self._project, self._bias = weights["fc_w"].T, weights["fc_b"]
        self.phones = lru_cache(_REMEMBERED_WORDS)(self._phones)

    def _phones(self, word: str) -> tuple[str, ...]:
        """ARPAbet phones of a lower-case word, at most 20; other signs than a to z count as unknown letters."""
        ids = [_GRAPHEMES.index(letter) if letter in _GRAPHEMES else _UNKNOWN for letter in word]
        state: Vector = np.zeros(self._encode.width, np.float32)
        for letter in [*ids, _END_OF_WORD]:
            state = self._encode.step(letter, state)
        phones: list[str] = []
        output = _START
        while len(phones) < _MOST_PHONES:
            state = self._decode.step(output, state)
            output = int((state @ self._project + self._bias).argmax())
            if output == _END:
                break
            phones.append(_OUTPUTS[output])
        return tuple(phones)


class _Recurrence:
    """A GRU over symbols; what each symbol contributes to the gates is computed once."""

    def __init__(self, weights: Mapping[str, Vector], name: str) -> None:
        self._inputs = weights[f"{name}_emb"] @ weights[f"{name}_w_ih"].T + weights[f"{name}_b_ih"]
        self._hidden = np.ascontiguousarray(weights[f"{name}_w_hh"].T)
        self._bias = weights[f"{name}_b_hh"]
        self.width = self._hidden.shape[0]

    def step(self, symbol: int, state: Vector) -> Vector:
        """The next state `(width)`; gates in the order reset, update, new."""
        given = self._inputs[symbol].reshape(3, -1)
        kept = (state @ self._hidden + self._bias).reshape(3, -1)
        reset, update = _sigmoid(given[:2] + kept[:2])
        new = np.tanh(given[2] + reset * kept[2])
        mixed: Vector = (1 - update) * new + update * state
        return mixed


def _sigmoid(x: Vector) -> Vector:
    y: Vector = np.reciprocal(1 + np.exp(-x))
    return y


def load_g2p() -> GraphemesToPhonemes:
    """Reads the weights that the package g2p_en ships.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    spec = find_spec("g2p_en")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("g2p-en is not installed: pip install 'speech-autoscaler[inference]'", name="g2p_en")
    with np.load(Path(spec.submodule_search_locations[0]) / "checkpoint20.npz") as stored:
        return GraphemesToPhonemes({name: stored[name] for name in stored.files})
