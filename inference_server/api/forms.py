"""Multipart forms: read under bounds into memory, validated in one step.

Starlette's reader takes three times as long for two seconds of sound, and writes what is longer than half a minute to a
disk.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from pydantic import BaseModel, ValidationError, WithJsonSchema

from inference_server.errors import Refusal, bad_request

Form = TypeVar("Form", bound=BaseModel)

_MAX_FIELDS = 64
_MAX_FIELD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class File:
    """A file of a form.

    Attributes:
        name: as the client calls it; may be empty.
        data: all of it.
    """

    name: str
    data: bytes


Value = str | File

Upload = Annotated[File, WithJsonSchema({"type": "string", "contentMediaType": "application/octet-stream"})]
"""A field that is a file."""


async def read_form(request: Request, kind: type[Form], *, lists: Collection[str] = (), max_files: int = 1) -> Form:
    """The form of a request.

    Args:
        request: its body is not read yet, and bounded.
        kind: what the form must hold. An empty field counts as absent, as browsers and OpenAI's clients mean it.
        lists: fields that may be there several times; of any other, the last counts.
        max_files: more are refused.

    Raises:
        RequestValidationError: a field is missing or cannot be used.
        Refusal: 400, no well-formed form, or more fields and files than allowed.
    """
    try:
        parts = await _parts(request, max_files)
    except MultipartError as error:
        raise _malformed(str(error)) from error
    given = [(name, value) for name, value in parts if value != ""]
    fields: dict[str, Value | list[Value]] = dict(given)
    for several in fields.keys() & set(lists):
        fields[several] = [value for name, value in given if name == several]
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        problems = error.errors(include_input=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in problems]) from error


async def _parts(request: Request, max_files: int) -> list[tuple[str, Value]]:
    """Names and values, in order."""
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    if media_type in ("", "application/x-www-form-urlencoded"):
        return []  # nothing, or a form that cannot hold a file: the file is what is missing
    if media_type != "multipart/form-data" or not options.get("boundary"):
        raise _malformed("the content type must be multipart/form-data with a boundary")
    parts: list[tuple[str, Value]] = []
    held: list[bytes] = []
    files = 0
    with PushMultipartParser(options["boundary"], max_segment_count=_MAX_FIELDS + max_files) as parser:
        async for chunk in request.stream():
            for event in parser.parse(chunk) if chunk else ():
                if isinstance(event, MultipartSegment):
                    part, held = event, []
                    files += _is_file(part)
                elif event is not None:
                    held.append(event)
                else:
                    parts.append((part.name or "", _value(part, b"".join(held))))
                if files > max_files or (part.bytes_received > _MAX_FIELD_BYTES and not _is_file(part)):
                    raise _malformed(f"at most {max_files} files, and {_MAX_FIELD_BYTES} bytes in a field")
    return parts


def _value(part: MultipartSegment, data: bytes) -> Value:
    return File(part.filename or "", data) if _is_file(part) else data.decode(errors="replace")


def _is_file(part: MultipartSegment) -> bool:
    """Whether a part is a file; older clients write names that are not ASCII as `filename*` alone (RFC 5987)."""
    return part.filename is not None or "filename*=" in part.header("Content-Disposition", "")


def _malformed(problem: str) -> Refusal:
    return bad_request(f"the form cannot be read: {problem}", code="invalid_request")


def described(kind: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a route that takes this form."""
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": kind.model_json_schema()}}}}
