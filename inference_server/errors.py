"""Why a request is not answered with a result."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "queue_full",
    "too_long",
    "bad_audio",
    "bad_request",
    "not_ready",
    "deadline",
    "abandoned",
    "not_taken",
    "unauthorized",
    "rate_limited",
    "retried",
]
"""The fixed label values of `speech_requests_rejected_total`.

`abandoned`: the client went while it waited. `not_taken`: it stayed and did not read its answer, which no other pod
could have helped. `retried`: a worker's message that comes again.
"""


class Refusal(Exception):
    """The request will not be served.

    Attributes:
        status: HTTP status.
        reason: label of the rejection metric.
        message: for the caller; names what, and what is allowed.
        code: machine-readable, as in OpenAI's error objects.
        param: the field at fault, if one is.
        retry_after_s: when trying again makes sense, in whole seconds; None where it does not.
    """

    def __init__(
        self,
        status: int,
        reason: Reason,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.code = code or reason
        self.param = param
        self.retry_after_s = retry_after_s


def queue_full(retry_after_s: int) -> Refusal:
    """The server has as much work as it can answer in time."""
    return Refusal(
        503, "queue_full", "the server is at capacity, try again later", code="overloaded", retry_after_s=retry_after_s
    )


def not_ready() -> Refusal:
    """The model is still loading."""
    return Refusal(503, "not_ready", "the model is still loading", code="model_loading", retry_after_s=5)


def deadline_passed(deadline_s: float) -> Refusal:
    """The request could not be answered within its deadline."""
    return Refusal(504, "deadline", f"not answered within the deadline of {deadline_s:g} s", code="deadline_exceeded")


def body_too_slow(deadline_s: float) -> Refusal:
    """The client took too long to send its request; no other pod would have been quicker."""
    return Refusal(408, "bad_request", f"the body did not arrive within {deadline_s:g} s", code="request_timeout")


def body_cut_off() -> Refusal:
    """The client went before it had sent its request; room would not have kept it."""
    return Refusal(499, "bad_request", "the client closed the connection before its body had come")


def abandoned() -> Refusal:
    """The client closed the connection while it waited (499: nginx's code for it)."""
    return Refusal(499, "abandoned", "the client closed the connection")


def bad_request(message: str, *, param: str | None = None, code: str = "invalid_value") -> Refusal:
    """A field cannot be used."""
    return Refusal(400, "bad_request", message, code=code, param=param)


class InvalidOption(ValueError):
    """The command line or an environment variable says something that cannot be used.

    Attributes:
        problems: one line each: where, what, what is allowed.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
