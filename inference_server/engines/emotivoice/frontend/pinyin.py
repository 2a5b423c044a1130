"""Pinyin syllables to the model's initials and finals."""

import re

_RETROFLEX_FINAL = dict.fromkeys(("zi", "ci", "si", "ri"), "ii") | dict.fromkeys(("zhi", "chi", "shi"), "iii")
_SYLLABIC = ("n", "ng", "m")
# y is a spelling of i or ü where no other initial is; `yue` and `yo` keep theirs, as in the training texts.
_WITHOUT_INITIAL = {
    **{"y" + rest: "i" + rest for rest in ("a", "an", "ang", "ao", "e", "ong", "ou")},
    **{"y" + rest: rest for rest in ("i", "in", "ing")},
    **{"y" + u + rest: "v" + rest for u in "uv" for rest in ("", "an", "n")},
}
_FULL_FINALS = {"ui": "uei", "iu": "iou", "un": "uen", "ue": "ve"}
_VOWEL = re.compile("[aeiouv]")


def syllable_tokens(syllable: str) -> list[str]:
    """Splits one syllable such as `zhuang1` into an initial, where it has one, and a final with its tone.

    Args:
        syllable: lower-case pinyin, v for ü, the tone 1 to 5 at its end.

    Raises:
        ValueError: no syllable: without a tone, or without a vowel.
    """
    plain, tone = syllable[:-1], syllable[-1:]
    if not tone.isdigit():
        raise ValueError(f"{syllable!r} has no tone")
    if plain in _SYLLABIC:
        plain = "e" + plain
    coloured = plain.endswith("r")
    initial, final = _split(plain.removesuffix("r"))
    final = f"{final}{'r' if coloured else ''}{tone}"
    return [initial, final] if initial else [final]


def _split(plain: str) -> tuple[str, str]:
    """Initial and final of a syllable without tone and r-colouring; the initial may be empty."""
    if plain in _RETROFLEX_FINAL:
        return plain[:-1], _RETROFLEX_FINAL[plain]
    if plain in _WITHOUT_INITIAL:
        return "", _WITHOUT_INITIAL[plain]
    if plain.startswith("w"):
        return "", "u" if plain == "wu" else "u" + plain[1:]
    if plain[:1] in ("j", "q", "x") and plain[1:2] == "u":
        return plain[0], "v" + plain[2:]
    vowel = _VOWEL.search(plain)
    if vowel is None:
        raise ValueError(f"{plain!r} has no vowel")
    initial, final = plain[: vowel.start()], plain[vowel.start() :]
    return initial, _FULL_FINALS.get(final, final)
