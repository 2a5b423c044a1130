"""JSON Schema of the file kinds, for editors and for the reference."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from autoscaler.spec.policy import PolicyFile
from autoscaler.spec.values import format_duration
from autoscaler.spec.workload import WorkloadFile

KINDS: dict[str, type[BaseModel]] = {"ScalingPolicy": PolicyFile, "Workload": WorkloadFile}


class _Plain(GenerateJsonSchema):
    """Without titles that repeat the key, and without null: a key is left out, never empty."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 (pydantic's own signature)
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        default = described.get("default")
        if described.get("title") == "duration" and isinstance(default, float):
            described["default"] = format_duration(default)
        return described


def json_schema(kind: str) -> dict[str, Any]:
    """The schema of a kind of file, as JSON Schema 2020-12.

    Args:
        kind: a key of `KINDS`.
    """
    schema = KINDS[kind].model_json_schema(by_alias=True, schema_generator=_Plain)
    tidy: dict[str, Any] = _tidy({"$schema": _Plain.schema_dialect, **schema, "title": kind})
    return tidy


def _tidy(part: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Without defaults that their own parts tell, and with descriptions in one line."""
    if isinstance(part, list):
        return [_tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _tidy(value) for key, value in part.items()}
    if isinstance(kept.get("default", ""), dict | None):
        del kept["default"]
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return kept
