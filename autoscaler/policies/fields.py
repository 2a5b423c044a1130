"""Reads typed values out of a parsed manifest and says, one line each, what is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, TypeVar

from autoscaler.model import InvalidInput

Choice = TypeVar("Choice", bound=StrEnum)

INT32_MAX = 2**31 - 1
TRUE_WORDS = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE_WORDS = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Fields:
    """One mapping of a manifest, read key by key.

    Problems of a whole tree of mappings go into one list; `finish` raises them together. A key that nobody
    read is a problem too. Values may be written as text (annotations and trigger metadata always are).
    """

    def __init__(self, raw: object, path: str, problems: list[str] | None = None) -> None:
        self.problems: list[str] = [] if problems is None else problems
        self.path = path
        self._raw: Mapping[str, Any] = {}
        self._known: set[str] = set()
        if isinstance(raw, Mapping):
            self._raw = raw
        elif raw is not None:
            self.problems.append(f"{path}: {raw!r} — must be a mapping")

    def __contains__(self, key: str) -> bool:
        return self._raw.get(key) is not None

    def fault(self, key: str, allowed: str) -> None:
        """Note that the value of a key cannot be used."""
        where = f"{self.path}.{key}" if self.path else key
        self.problems.append(f"{where}: {self._raw.get(key)!r} — {allowed}")

    def integer(self, key: str, default: int, low: int = 0, high: int = INT32_MAX) -> int:
        """A whole number within bounds, both included."""
        raw = self._take(key)
        if raw is None:
            return default
        value = _whole(raw)
        if value is None or not low <= value <= high:
            self.fault(key, f"a whole number from {low} to {high}")
            return default
        return value

    def number(self, key: str, default: float, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number within bounds, both included."""
        raw = self._take(key)
        if raw is None:
            return default
        value = _finite(raw)
        if value is None or not low <= value <= high:
            self.fault(key, f"a number from {low:g} to {high:g}")
            return default
        return value

    def seconds(self, key: str, default: float, low: float = 0.0, high: float = math.inf) -> float:
        """A duration as Go writes it (`30s`, `1m30s`), in seconds."""
        raw = self._take(key)
        if raw is None:
            return default
        value = parse_duration(str(raw))
        if value is None or not low <= value <= high:
            self.fault(key, f"a duration such as 30s or 1m30s, from {low:g} to {high:g} s")
            return default
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """A truth value, as YAML or as one of the words Go knows."""
        raw = self._take(key)
        if raw is None:
            return default
        word = str(raw)
        if word in TRUE_WORDS or word in FALSE_WORDS:
            return word in TRUE_WORDS
        self.fault(key, "true or false")
        return default

    def text(self, key: str, default: str = "") -> str:
        """Text; required (not empty) where the default is empty."""
        raw = self._take(key)
        if raw is None and default:
            return default
        if not isinstance(raw, str) or not raw:
            self.fault(key, "text, not empty")
            return default
        return raw

    def choice(self, key: str, default: Choice) -> Choice:
        """One word of an enumeration."""
        raw = self._take(key)
        if raw is None:
            return default
        kinds = type(default)
        try:
            return kinds(str(raw))
        except ValueError:
            self.fault(key, "one of " + ", ".join(kinds))
            return default

    def raw(self, key: str) -> object:
        """The value as it stands; None where it is absent."""
        return self._take(key)

    def child(self, key: str) -> Fields:
        """The mapping under a key; empty where it is absent."""
        return Fields(self._take(key), f"{self.path}.{key}" if self.path else key, self.problems)

    def children(self, key: str) -> Iterator[Fields]:
        """The mappings of a list."""
        raw = self._take(key)
        if raw is None:
            return
        if not isinstance(raw, list | tuple):
            self.fault(key, "must be a list")
            return
        where = f"{self.path}.{key}" if self.path else key
        for index, entry in enumerate(raw):
            yield Fields(entry, f"{where}[{index}]", self.problems)

    def skip(self, *keys: str) -> None:
        """Keys that are known and say nothing about the size."""
        self._known.update(keys)

    def close(self) -> None:
        """Note every key that nobody read."""
        for key in self._raw:
            if key not in self._known:
                near = get_close_matches(str(key), self._known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.fault(key, f"unknown key, allowed here: {', '.join(sorted(self._known))}{hint}")

    def finish(self) -> None:
        """Raise all problems found so far.

        Raises:
            InvalidInput: one line for each problem.
        """
        if self.problems:
            raise InvalidInput(*self.problems)

    def _take(self, key: str) -> object:
        self._known.add(key)
        return self._raw.get(key)


def parse_duration(text: str) -> float | None:
    """Seconds of a Go duration; None where it is none. A bare 0 needs no unit."""
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _whole(raw: object) -> int | None:
    number = _finite(raw)
    return int(number) if number is not None and number == int(number) else None


def _finite(raw: object) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        number = float(raw)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
