"""What is said of targets beside their ticks: that a file cannot be used, and that nothing sizes one at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from autoscaler.cluster.events import POLICY_ACCEPTED, POLICY_REFUSED, SIZED_AGAIN, UNSIZED, Note
from autoscaler.service.lastword import LastWord


class Shown(Protocol):
    """Who writes statuses."""

    def unsized(self, target: str, why: str) -> None:
        """Show why nothing sizes a target."""


class Aside:
    """Says it in Events and statuses, once for each change however often it is asked.

    Args:
        statuses: where it is shown of a target without ticks; with a tick what is wrong with its file is.
        refused, unsized: where each is said.
    """

    def __init__(self, statuses: Shown, refused: LastWord, unsized: LastWord) -> None:
        self._statuses = statuses
        self._refused = refused
        self._unsized = unsized

    def say(self, sized: Collection[str], troubles: Mapping[str, str], unsized: Mapping[str, str]) -> None:
        """Say how things stand.

        Args:
            sized: targets with a policy in force.
            troubles: what is wrong with the files that name a target.
            unsized: why nothing sizes a target: two policies want it, or its ticks fail.
        """
        for target in sized:
            trouble = troubles.get(target, "")
            self._refused.say(target, trouble, _of_file(trouble))
            if target not in unsized:
                self._unsized.say(target, "", Note("Normal", SIZED_AGAIN, "sized again"))
        for target, why in unsized.items():
            self._statuses.unsized(target, why)
            self._unsized.say(target, why, Note("Warning", UNSIZED, why))


def _of_file(trouble: str) -> Note:
    if trouble:
        return Note("Warning", POLICY_REFUSED, f"the last good policy stays in force: {trouble}")
    return Note("Normal", POLICY_ACCEPTED, "the policy file is in force again")
