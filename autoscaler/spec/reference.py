"""The policy reference as Markdown, made from the JSON Schema: `python -m autoscaler.spec.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from autoscaler.spec.schema import KINDS, json_schema

Part = Mapping[str, Any]

_HEAD = """# Policy reference

Generated from the schema by `python -m autoscaler.spec.reference > docs/policy-reference.md`; do not edit.
Editors complete and check the files with `autoscaler check --schema`; what is wrong with one, `autoscaler check FILE`
says with line and column.

Files are closed: a key that is not listed here is an error. Units are part of the value:

- *duration*: `800ms`, `15s`, `5m`, `1h30m`, `1d`; units from large to small, each at most once, never a bare number
- *share*: percent, above `0%` and below `100%`, such as `99%` or `99.9%`
- *quantity*: as in Kubernetes, such as `700m`, `10` or `1.5k`

YAML on which readers disagree is refused: `yes` and `no` as switches, numbers with a leading 0, `1:30`, dates without
quotes, the same key twice, tags, several documents in one file. Aliases and `<<` may be used. A file may have 1 MB.

**Bounds.** `spec.replicas` of a policy rules; without it the bounds of the workload hold, also those of a workload that
a replay puts in its place (`--workload`).

**Manifests.** An autoscaling/v2 HorizontalPodAutoscaler and a keda.sh/v1alpha1 ScaledObject can be given wherever a
policy can, as they are. What of them cannot be replayed, `autoscaler check` names; it is left out of a replay.
"""


def reference() -> str:
    """The whole page."""
    parts: dict[str, Part] = {}
    for kind in KINDS:
        schema = json_schema(kind)
        parts |= {kind: schema} | {name: part for name, part in schema["$defs"].items() if name not in parts}
    names = [name for kind in KINDS for name in _reached(kind, parts)]
    sections = [line for name in dict.fromkeys(names) for line in _section(name, parts[name], parts)]
    return _HEAD + "\n".join(sections) + "\n"


def _reached(name: str, parts: Mapping[str, Part]) -> Iterator[str]:
    """A part, then all that it refers to, each once, in reading order."""
    seen: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in seen:
            seen[name] = None
            for prop in parts[name].get("properties", {}).values():
                for inner in _references(prop):
                    visit(inner)

    visit(name)
    yield from seen


def _references(prop: Any) -> Iterator[str]:  # noqa: ANN401 (any JSON value)
    if isinstance(prop, Mapping):
        if "$ref" in prop:
            yield str(prop["$ref"]).rsplit("/", 1)[-1]
        for key, value in prop.items():
            if key != "discriminator":
                yield from _references(value)
    elif isinstance(prop, list):
        for item in prop:
            yield from _references(item)


def _section(name: str, part: Part, parts: Mapping[str, Part]) -> Iterator[str]:
    yield from ("", f"{'##' if name in KINDS else '###'} {name}", "")
    if "description" in part:
        yield from (str(part["description"]), "")
    if not part.get("properties"):
        return
    yield from ("| key | type | default | |", "| --- | --- | --- | --- |")
    for key, prop in part["properties"].items():
        default = "required" if key in part.get("required", ()) else _default(prop)
        about = _about(prop) or _about(parts.get(_name(prop), {}))
        yield f"| `{key}` | {_type(prop)} | {default} | {about} |"


def _name(prop: Part) -> str:
    """The part that a property refers to; empty for one that is described in place."""
    return str(prop.get("$ref", "")).rsplit("/", 1)[-1]


def _default(prop: Part) -> str:
    if "default" not in prop:
        return ""
    value = prop["default"]
    return f"`{str(value).lower() if isinstance(value, bool) else _number(value)}`"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _about(prop: Part) -> str:
    """What a key is for, with its own example; those of a whole type stand at the top of the page."""
    examples = prop.get("examples", ())
    example = f"Such as `{examples[0]}`." if len(examples) == 1 else ""
    return " ".join(filter(None, (prop.get("description", ""), example)))


def _type(prop: Part) -> str:
    words = prop.get("enum", [prop["const"]] if "const" in prop else [])
    choices = prop.get("oneOf") or prop.get("anyOf") or []
    if name := _name(prop):
        return f"[{name}](#{name.lower()})"
    if words:
        return ", ".join(f"`{word}`" for word in words)
    if choices:
        return " or ".join(_type(choice) for choice in choices)
    return _simple_type(prop)


def _simple_type(prop: Part) -> str:
    kind, inner = str(prop.get("type")), prop.get("items", prop.get("additionalProperties"))
    if isinstance(inner, Mapping):
        return f"{'list of' if kind == 'array' else 'name:'} {_type(inner)}"
    words = {"integer": "whole number", "string": "text", "boolean": "true or false", "object": "mapping"}
    return f"{prop.get('title') or words.get(kind, kind)}{_bounds(prop)}"


def _bounds(prop: Part) -> str:
    said = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    bounds = [f"{sign} {_number(prop[key])}" for key, sign in said.items() if key in prop]
    return f" {', '.join(bounds)}" if bounds else ""


if __name__ == "__main__":
    sys.stdout.write(reference())
