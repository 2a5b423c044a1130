"""A document against its schema and its rules; every problem at once, each at its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autoscaler.model import InvalidInput
from autoscaler.spec.base import keys_of, model_at
from autoscaler.spec.document import Document, Problem, Route, Value, shown
from autoscaler.spec.rules import Clash

MOST_LINES = 200
"""Problems of one file that are told; nobody reads more."""

File = TypeVar("File", bound=BaseModel)

ELSEWHERE: Mapping[str, str] = {
    "behavior": "spec.policy.behavior of an hpa rule, or policy.advanced.horizontalPodAutoscalerConfig.behavior of a "
    "keda rule: a peer's rule is complete",
    "minReplicas": "spec.replicas.min",
    "maxReplicas": "spec.replicas.max",
    "minReplicaCount": "spec.replicas.min",
    "maxReplicaCount": "spec.replicas.max",
    "min-scale": "spec.replicas.min",
    "max-scale": "spec.replicas.max",
    "scaleTargetRef": "spec.target",
    "bearerToken": "bearerTokenFile: a policy file holds no secret",
    "password": "passwordFile: a policy file holds no secret",
    "token": "bearerTokenFile: a policy file holds no secret",
}
"""Keys that people look for in the wrong place."""


def validated(document: Document, schema: type[File], clashes: Iterable[Clash]) -> File:
    """The document as a typed value.

    Args:
        document: what was read.
        schema: the model of its kind.
        clashes: what the rules between fields found.

    Raises:
        InvalidInput: one line for each problem, in the order of the file.
    """
    problems = dict(document.problems)
    for route in _empty(document.data.get("spec", ABSENT), ("spec",)):
        problems.setdefault(route, document.problem(route, "empty — give a value, or leave the key out"))
    file: File | None = None
    try:
        file = schema.model_validate(document.data)
    except ValidationError as error:
        for details in islice(error.errors(include_url=False), MOST_LINES * 2):
            _note(details, document, schema, problems)
    for clash in clashes:
        source, other = document.source(clash.route), document.source(clash.against)
        if not any(field[: len(route)] == route for route in problems for field in (source, other)):
            problems[source] = document.problem(clash.route, clash.text, at_key=clash.at_key)
    if problems or file is None:
        raise InvalidInput(*_told(sorted(problems.values())))
    return file


def _told(problems: list[Problem]) -> Iterator[str]:
    yield from map(str, problems[:MOST_LINES])
    if len(problems) > MOST_LINES:
        yield f"{problems[0].file}: and at least {len(problems) - MOST_LINES} more"


def _empty(value: Value, route: Route) -> Iterator[Route]:
    """Keys without a value."""
    if value is None:
        yield route
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _empty(inner, (*route, key))


def _note(details: ErrorDetails, document: Document, schema: type[BaseModel], problems: dict[Route, Problem]) -> None:
    kind, context = details["type"], details.get("ctx", {})
    route = _route(details["loc"], document.data, missing=kind == "missing")
    if kind == "too_short" and len(details["input"]) >= context["min_length"]:
        return  # its entries are wrong, and each is told by itself
    at_key = kind in ("missing", "extra_forbidden")
    if kind == "missing":
        text = f"missing — {_purpose(schema, document, route)}"
    elif kind == "extra_forbidden":
        text = f"unknown key — {_instead(schema, document, route)}"
    else:
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            route = (*route, str(context["discriminator"]).strip("'"))
        text = f"{shown(_at(document.data, route))} — {_allowed(kind, context, details)}"
    problems.setdefault(document.source(route), document.problem(route, text, at_key=at_key))


def _route(loc: tuple[int | str, ...], data: Value, *, missing: bool) -> Route:
    """The path in the file: pydantic's, without the names of union branches."""
    route: list[str | int] = []
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(part, int) and isinstance(data, list) and part < len(data):
            data = data[part]
        elif isinstance(data, dict) and part in data:
            data = data[str(part)]
        elif not (last and missing):
            continue
        route.append(part)
    return tuple(route)


def _at(data: Value, route: Route) -> Value:
    for part in route:
        if isinstance(data, dict):
            data = data.get(str(part), ABSENT)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
    return data


ABSENT = "missing"
"""Shown for what is not there."""


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to write instead of a key that nobody knows."""
    known = list(known)
    near = get_close_matches(key, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"allowed here: {', '.join(known)}{hint}"


def _instead(schema: type[BaseModel], document: Document, route: Route) -> str:
    key = str(route[-1])
    if key in ELSEWHERE:
        return f"belongs to {ELSEWHERE[key]}"
    model = model_at(schema, document.data, route[:-1])
    return unknown_key(key, keys_of(model) if model else ())


def _purpose(schema: type[BaseModel], document: Document, route: Route) -> str:
    """What a missing key is for."""
    model = model_at(schema, document.data, route[:-1])
    fields = {field.alias or name: field for name, field in model.model_fields.items()} if model else {}
    field = fields.get(str(route[-1]))
    about = f": {field.description}" if field and field.description else ""
    example = f" Such as {field.examples[0]}." if field and field.examples else ""
    return f"required{about}{example}"


_PLAIN: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text; quote it if it is meant",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "string_too_short": "text that is not empty",
}
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("at least {}", "ge"),
    "greater_than": ("above {}", "gt"),
    "less_than_equal": ("at most {}", "le"),
    "less_than": ("below {}", "lt"),
    "too_short": ("at least {} entries", "min_length"),
    "literal_error": ("one of {}", "expected"),
    "union_tag_invalid": ("one of {}", "expected_tags"),
    "string_pattern_mismatch": ("a name: lower-case letters, digits, - and ., not longer than 253", "pattern"),
}


def _allowed(kind: str, context: Mapping[str, Any], details: ErrorDetails) -> str:
    if details["input"] is None:
        return "give a value, or leave the key out"
    if kind == "union_tag_not_found":
        return "required here"
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        form, name = _BOUNDS[kind]
        return form.format(str(context[name]).replace("'", "").replace(" or ", ", ")) + _near(kind, context, details)
    return details["msg"]


def _near(kind: str, context: Mapping[str, Any], details: ErrorDetails) -> str:
    """The nearest allowed word."""
    if kind not in ("literal_error", "union_tag_invalid"):
        return ""
    words = (
        str(context.get("expected", context.get("expected_tags"))).replace("'", "").replace(" or ", ", ").split(", ")
    )
    near = get_close_matches(str(context.get("tag", details["input"])), words, 1)
    return f"; did you mean {near[0]}?" if near else ""
