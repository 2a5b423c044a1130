"""Errors that a person caused and can mend."""

from __future__ import annotations


class InvalidInput(ValueError):
    """Something a person wrote or named cannot be used.

    Attributes:
        problems: one line each, complete: where it is, what stands there, what is allowed.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class MissingExtra(InvalidInput):
    """A command needs an optional part that is not installed."""

    def __init__(self, command: str, extra: str) -> None:
        super().__init__(f"`{command}` needs an optional part: pip install 'speech-autoscaler[{extra}]'")


class Unreachable(RuntimeError):
    """A server that was asked did not answer in a usable way; trying again later may help."""
