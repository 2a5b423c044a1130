"""Events about what lasts: told when it changes, and by whoever begins to lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from autoscaler.cluster.events import Note


class Telling(Protocol):
    """Who makes Events."""

    def announce(self, target: str, uid: str, note: Note) -> None:
        """Make one about the Deployment with this UID."""


class LastWord:
    """What was said last of one thing, target by target.

    Args:
        uid: of a target's Deployment, empty where there is none: then it is said when there is one.
        forbidden: why nothing may be said.
        announcer: where it is said.
    """

    def __init__(self, uid: Callable[[str], str], forbidden: Callable[[], str | None], announcer: Telling) -> None:
        self._uid = uid
        self._forbidden = forbidden
        self._announcer = announcer
        self._said: dict[str, tuple[str, str]] = {}

    def say(self, target: str, state: str, note: Note) -> None:
        """Make the Event if the state, which is empty where all is well, is another than was said."""
        if self._forbidden() is not None:
            self._said.pop(target, None)
            return
        uid = self._uid(target)
        known, said = self._said.get(target, (uid, ""))
        if uid and (said if known == uid else "") != state:
            self._said[target] = uid, state
            self._announcer.announce(target, uid, note)

    def forget(self, target: str) -> None:
        """Of this target there is nothing to say any more."""
        self._said.pop(target, None)
