"""Which request the code is working for: ids for logs, traces and usage records."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

_TRACE_PARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")  # W3C Trace Context, level 1
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class RequestContext:
    """One request for inference.

    Attributes:
        request_id: the client's `X-Request-Id`, or a new one.
        trace_id: 32 hexadecimal digits, the caller's where it sent a `traceparent`.
        audio_s: sound that was accepted or made.
        characters: text that was accepted.
    """

    request_id: str
    trace_id: str
    audio_s: float = 0.0
    characters: int = 0


current: ContextVar[RequestContext | None] = ContextVar("request", default=None)
"""Of the running task."""


def note_usage(*, audio_s: float = 0.0, characters: int = 0) -> None:
    """Add to what the running request used; outside of requests nothing is noted."""
    context = current.get()
    if context is not None:
        context.audio_s += audio_s
        context.characters += characters


def read_context(headers: Mapping[bytes, bytes]) -> RequestContext:
    """From a request's headers; what is malformed counts as absent.

    Ids come from `secrets`: loading a model seeds `random` (research: speech, 2c, 3).
    """
    sent = headers.get(b"x-request-id", b"")
    request_id = sent.decode() if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)
    parent = _TRACE_PARENT.fullmatch(headers.get(b"traceparent", b""))
    trace_id = parent[1].decode() if parent and parent[1] != b"0" * 32 else secrets.token_hex(16)
    return RequestContext(request_id, trace_id)
