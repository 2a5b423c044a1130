"""YAML text as plain values, with the place of every key and value.

A subset of YAML on which all readers agree: what YAML 1.1 and 1.2 read differently (`yes`, `0755`, `1:30`)
is refused, and so are tags, duplicate keys and several documents in one file. Size, depth and expanded
size are bounded, so a hostile file costs little.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from autoscaler.model import InvalidInput

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_VALUES = 20_000
"""Values after aliases are expanded."""

Scalar = str | int | float | bool | None
Value = Scalar | list["Value"] | dict[str, "Value"]
Route = tuple[str | int, ...]
"""Keys and indices from the root to a value."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something in a file that cannot be used."""

    file: str
    place: Place
    route: str
    """Dotted path of the field; empty for the file as a whole."""
    text: str
    """The value, and what is allowed."""

    def __str__(self) -> str:
        field_name = f" {self.route}" if self.route else ""
        return f"{self.file}:{self.place.line}:{self.place.column}{field_name}: {self.text}"


@dataclass(frozen=True, slots=True)
class Document:
    """One file as plain values (dict, list, str, int, float, bool, None)."""

    name: str
    data: dict[str, Value]
    keys: Mapping[Route, Place]
    values: Mapping[Route, Place]
    problems: Mapping[Route, Problem]
    """What YAML readers disagree on; the data hold its text as it stands in the file."""
    origins: Mapping[Route, Route] = field(default_factory=dict)
    """Where the data were rearranged: from the new place of a part to the one that it has in the file."""

    def rearranged(self, data: dict[str, Value], origins: Mapping[Route, Route]) -> Document:
        """The same file seen as something else; problems are still told at their place in the file."""
        return replace(self, data=data, origins=origins)

    def source(self, route: Route) -> Route:
        """The route in the file of a route in the data."""
        for length in range(len(route), 0, -1):
            origin = self.origins.get(route[:length])
            if origin is not None:
                return (*origin, *route[length:])
        return route

    def problem(self, route: Route, text: str, *, at_key: bool = False) -> Problem:
        """A problem with one field, told at its value or its key; of what is absent, at its nearest ancestor."""
        source = self.source(route)
        if not at_key and source in self.values:
            return Problem(self.name, self.values[source], dotted(source), text)
        near = source
        while near and near not in self.keys:
            near = near[:-1]
        return Problem(self.name, self.keys.get(near, Place(1, 1)), dotted(source), text)


def dotted(route: Route) -> str:
    """The usual notation: `spec.metrics[0].type`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_short(part)}" for part in route)
    return text.removeprefix(".")


def shown(value: Value) -> str:
    """A value as it is told to a person, short; text that looks like something else is quoted."""
    if value is None:
        return "empty"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    bare = isinstance(value, str) and isinstance(plain(value), str)
    text = _PASSWORD.sub(r"\1:…@", str(value) if bare else json.dumps(value))
    return _short(text)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


_PASSWORD = re.compile(r"(//[^/@:]*):[^/]*@")


def read(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        InvalidInput: the file cannot be read, is too large or is not one YAML mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InvalidInput(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(content, str(path))


def parse(content: bytes, name: str) -> Document:
    """Parse the bytes of one YAML file; `name` stands in messages.

    Raises:
        InvalidInput: the content is too large or is not one YAML mapping.
    """
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"{name}: larger than {MAX_BYTES} bytes, the most that is read")
    node = _compose(content, name)
    if not isinstance(node, yaml.MappingNode):
        place = _place(node) if node is not None else Place(1, 1)
        found = "empty" if node is None else "not a mapping"
        text = f"{found} — a mapping with apiVersion, kind, metadata and spec"
        raise InvalidInput(str(Problem(name, place, "", text)))
    reader = _Reader(name)
    data = reader.mapping(node, ())
    return Document(name, data, reader.keys, reader.values, reader.problems)


class _Composer(yaml.SafeLoader):
    """Nodes without guesses at types; depth is bounded and tags are refused."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own protocol)
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None):
            raise yaml.composer.ComposerError(None, None, f"the tag {event.tag} is not allowed", event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(content: bytes, name: str) -> yaml.Node | None:
    try:
        text = content.decode("utf-8-sig")
        loader = _Composer(text)
        loader.name = name
        node: yaml.Node | None = loader.get_single_node()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name}: not UTF-8 text (byte {error.start})") from error
    except yaml.reader.ReaderError as error:
        place = _place_of_index(content, error.position)
        text = f"not YAML: the character U+{error.character:04X} is not allowed"
        raise InvalidInput(str(Problem(name, place, "", text))) from error
    except yaml.MarkedYAMLError as error:
        raise InvalidInput(str(Problem(name, _place_of_mark(error.problem_mark), "", _explained(error)))) from error
    except (ValueError, OverflowError) as error:  # PyYAML: an escape beyond Unicode, a version of thousands of digits
        raise InvalidInput(f"{name}: not YAML: {error}") from error
    return node


def _explained(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "malformed"
    if error.context == "expected a single document in the stream":
        return "a second document begins — one document a file"
    if "'\\t'" in problem:
        return f"not YAML: {problem} (indent with spaces)"
    if "tag" in problem or "nested" in problem:
        return problem
    return f"not YAML: {problem}"


def _place_of_mark(mark: yaml.Mark | None) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)


def _place_of_index(content: bytes, index: int) -> Place:
    before = content.decode("utf-8-sig")[:index]
    return Place(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


def _place(node: yaml.Node) -> Place:
    return _place_of_mark(node.start_mark)


@dataclass(slots=True)
class _Reader:
    """Turns nodes into values and notes their places."""

    name: str
    keys: dict[Route, Place] = field(default_factory=dict)
    values: dict[Route, Place] = field(default_factory=dict)
    problems: dict[Route, Problem] = field(default_factory=dict)
    visited: int = 0

    def value(self, node: yaml.Node, route: Route) -> Value:
        """The plain value of a node.

        Raises:
            InvalidInput: aliases make it too large or endless.
        """
        self._visit(node, len(route))
        self.values[route] = _place(node)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, route)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*route, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, route)
        raise TypeError(f"YAML has no node of type {type(node)}")

    def _visit(self, node: yaml.Node, depth: int) -> None:
        self.visited += 1
        if self.visited > MAX_VALUES or depth > MAX_DEPTH:
            text = f"more than {MAX_VALUES} values or {MAX_DEPTH} levels, aliases expanded"
            raise InvalidInput(str(Problem(self.name, _place(node), "", text)))

    def mapping(self, node: yaml.MappingNode, route: Route) -> dict[str, Value]:
        """The plain values of a mapping; the first of two equal keys counts."""
        found: dict[str, Value] = {}
        for key_node, value_node, inherited in self._pairs(node, len(route)):
            key = self._key(key_node, route)
            here = (*route, key)
            if key not in found:
                self.keys[here] = _place(key_node)
                found[key] = self.value(value_node, here)
            elif not inherited:
                self._note(here, key_node, f"given twice — first in line {self.keys[here].line}")
        return found

    def _pairs(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """A mapping's own pairs, then those that `<<: *base` adds."""
        self._visit(node, depth)
        yield from ((key, value, False) for key, value in node.value if not _is_merge(key))
        for key, value in node.value:
            for base in _bases(value) if _is_merge(key) else ():
                yield from ((k, v, True) for k, v, _ in self._pairs(base, depth + 1))

    def _key(self, node: yaml.Node, route: Route) -> str:
        """The text of a key; one that readers take for something else is noted."""
        if not isinstance(node, yaml.ScalarNode):
            self._note((*route, "?"), node, "a list or mapping as a key — keys are names")
            return "?"
        value = self._scalar(node, (*route, node.value))
        if not isinstance(value, str):
            self._note(
                (*route, node.value), node, f"{_short(node.value)} as a key — keys are names; quote it if it is meant"
            )
            return str(node.value)
        return value

    def _scalar(self, node: yaml.ScalarNode, route: Route) -> Scalar:
        text: str = node.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._note(route, node, "half of a surrogate pair — text is Unicode")
            return "?"
        if node.style is not None:
            return text
        ambiguous = next((why for pattern, why in _AMBIGUOUS if pattern.fullmatch(text)), None)
        if ambiguous is not None:
            self._note(route, node, f"{_short(text)} — {ambiguous}")
            return text
        return plain(text)

    def _note(self, route: Route, node: yaml.Node, text: str) -> None:
        self.problems.setdefault(route, Problem(self.name, _place(node), dotted(route), text))


def _is_merge(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value == "<<"


def _bases(node: yaml.Node) -> list[yaml.MappingNode]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for base in nodes:
        if not isinstance(base, yaml.MappingNode):
            text = "not a mapping — an alias of a mapping"
            raise InvalidInput(str(Problem(node.start_mark.name, _place(base), "<<", text)))
    return list(nodes)


_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_AMBIGUOUS = [
    (
        re.compile(r"y|n|yes|no|on|off", re.IGNORECASE),
        "a switch to some YAML readers, a word to others: write true or false, or quote it",
    ),
    (
        re.compile(r"[-+]?0(o[0-7]+|[0-9_]+)"),
        "octal to some YAML readers: write it without the leading 0, or quote it",
    ),
    (re.compile(r"[-+]?0(b[01_]+|x[0-9a-fA-F_]+)"), "not decimal: write a decimal number, or quote it"),
    (re.compile(r"[-+]?[1-9][0-9]*_[0-9_]*(\.[0-9]*)?"), "digits with underscores: write them without, or quote it"),
    (
        re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"),
        "a number to base 60 to some YAML readers: write a duration with its unit, such as 90s, or quote it",
    ),
    (re.compile(r"[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?([Tt ].*)?"), "a date to some YAML readers: quote it"),
    (re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE), "not a finite number"),
]
_LONGEST_NUMBER = 40
"""Digits; far more than any value here needs, far fewer than Python refuses."""


def plain(text: str) -> Scalar:
    """What an unquoted scalar means in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _NUMBER.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
