"""Digits to Chinese words, as the training texts had them: in any language, with no rule for dates, money or signs."""

import re
import unicodedata

_NUMBER = re.compile(r"\d[\d.]*")
_DIGITS = "零一二三四五六七八九"
_UNITS = ("", "十", "百", "千", "万", "十", "百", "千", "亿", "十", "百", "千", "万", "十", "百", "千")
_MOST_DIGITS = len(_UNITS)
_MOST_DECIMALS = 16
# One after the other, each over the whole text: what a row of zeros and large units comes down to.
_CONTRACTIONS = (("零零", "零"), ("零万", "万"), ("零亿", "亿"), ("亿万", "亿"))


def spell_numbers(text: str) -> str:
    """Replaces every number by the words it is read as.

    More than 16 digits before the dot, or several dots, are read digit by digit.
    """
    return _NUMBER.sub(lambda match: spell_number(match.group()), text)


def spell_number(number: str) -> str:
    """The words of one number: digits of any script, then digits and dots."""
    digits = "".join(sign if sign == "." else str(unicodedata.decimal(sign)) for sign in number)
    whole, _, decimals = digits.partition(".")
    if "." in decimals or len(whole.lstrip("0")) > _MOST_DIGITS:
        return _digit_by_digit(digits)
    words = _spell_whole(whole.lstrip("0"))
    return f"{words}点{_digit_by_digit(decimals[:_MOST_DECIMALS])}" if decimals else words


def _digit_by_digit(digits: str) -> str:
    return "".join("点" if sign == "." else _DIGITS[int(sign)] for sign in digits)


def _spell_whole(digits: str) -> str:
    words = ""
    for index, digit in enumerate(digits):
        place = len(digits) - 1 - index
        if digit != "0":
            words += _DIGITS[int(digit)] + _UNITS[place]
            continue
        if place % 4 == 0:
            words += "零" + _UNITS[place]
        if not words.endswith("零"):
            words += "零"
    for long, short in _CONTRACTIONS:
        words = words.replace(long, short)
    words = words.strip("零")
    if words.startswith("一十"):
        words = words[1:]
    return words or "零"
