"""Whether another autoscaler sizes a target too: that is said at every tick, whether or not there is a size to write.

One that holds the size that we want as well would else be met at the first disagreement, at night.
"""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.cluster.events import SIZED_ALONE, SIZED_BY_ANOTHER, Note
from autoscaler.cluster.status import Statuses
from autoscaler.model import Tick
from autoscaler.service.lastword import LastWord


class Rivals:
    """Journal that looks at each tick who else sizes a target. That asks nobody: it is known by watch.

    Args:
        rival: who else sizes a target, where that keeps us from it; empty where nobody does.
        statuses, last_word: where it is said.
    """

    def __init__(self, rival: Callable[[str], str], statuses: Statuses, last_word: LastWord) -> None:
        self._rival = rival
        self._statuses = statuses
        self._last_word = last_word

    def append(self, tick: Tick) -> None:
        """See `Journal`."""
        rival = self._rival(tick.target)
        self._statuses.rivalled(tick.target, rival)
        if rival:
            note = Note("Warning", SIZED_BY_ANOTHER, f"nothing is written meanwhile: {rival}")
        else:
            note = Note("Normal", SIZED_ALONE, "no other autoscaler sizes it any more")
        self._last_word.say(tick.target, rival, note)
