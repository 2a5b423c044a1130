"""What all parts of a policy file have in common: closed, frozen, keys in camelCase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

API_VERSION: Literal["autoscaling.speech/v1alpha1"] = "autoscaling.speech/v1alpha1"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
"""A name as Kubernetes allows it: lower-case letters, digits, `-` and `.`."""
Text = Annotated[str, StringConstraints(min_length=1)]


class Model(BaseModel):
    """A closed mapping: a key that is not listed is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=False,
        use_attribute_docstrings=True,
        ser_json_inf_nan="null",
    )


class Metadata(Model):
    """Name and labels, as every Kubernetes object has them."""

    name: Name
    """Stands in tables, metrics and events."""
    namespace: Name | None = None
    """Where the target lives; where it is absent, the controller's own namespace."""
    labels: dict[str, str] = Field(default_factory=dict)
    """As in Kubernetes; without meaning here."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """As in Kubernetes; of a keda rule, those of `autoscaling.keda.sh/` pause it as they do in KEDA."""


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """The keys that a mapping may have, with their types."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def model_at(root: type[BaseModel], data: object, route: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that describes the mapping at `route`; None where the schema has none there."""
    annotation: Any = root
    for part in route:
        if isinstance(part, int):
            annotation = next((arg for arg in get_args(annotation) if arg is not Ellipsis), None)
            data = data[part] if isinstance(data, list) and part < len(data) else None
        else:
            model = _chosen(annotation, data)
            annotation = keys_of(model).get(part) if model else None
            data = data.get(part) if isinstance(data, dict) else None
    return _chosen(annotation, data)


def _chosen(annotation: object, data: object) -> type[BaseModel] | None:
    """The model of an annotation; of a union, the one whose type matches, else the one with most keys in common."""
    models = list(_models(annotation))
    keys = data if isinstance(data, dict) else {}

    def likeness(model: type[BaseModel]) -> tuple[bool, int]:
        known = keys_of(model)
        tags = get_args(known.get("type")) or get_args(known.get("mode"))
        return keys.get("type", keys.get("mode")) in tags, len(known.keys() & keys.keys())

    return max(models, key=likeness, default=None)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif not _is_list(annotation):
        for argument in get_args(annotation):
            yield from _models(argument)


def _is_list(annotation: object) -> bool:
    return getattr(annotation, "__origin__", None) in (tuple, dict)
