"""Whether the Service that a policy names brings its target's pods their traffic.

Where it does not, every figure of the target is of no traffic, or pods that stand by get some: that is said with the
status, in an Event and as a metric. Nothing is held for it: what is measured rules, and a Service may be moved by hand.
"""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.cluster.events import SERVICE_MISDIRECTED, SERVICE_SELECTS, Note
from autoscaler.cluster.status import Statuses
from autoscaler.model import Tick
from autoscaler.service.lastword import LastWord
from autoscaler.service.recorder import Metrics


class Traffic:
    """Journal that looks at each tick whether a target's Service is right.

    Args:
        problem: what is wrong with a target's Service, empty where nothing is; None where its policy names none.
        metrics, statuses, last_word: where it is said.
    """

    def __init__(
        self,
        problem: Callable[[str], str | None],
        metrics: Metrics,
        statuses: Statuses,
        last_word: LastWord,
    ) -> None:
        self._problem = problem
        self._metrics = metrics
        self._statuses = statuses
        self._last_word = last_word
        self._shown: set[str] = set()

    def append(self, tick: Tick) -> None:
        """See `Journal`."""
        target = tick.target
        problem = self._problem(target)
        if problem is None:
            if target in self._shown:
                self._forget(target)
            return
        self._shown.add(target)
        self._metrics.misdirected.labels(target).set(bool(problem))
        self._statuses.misdirected(target, problem)
        if problem:
            note = Note("Warning", SERVICE_MISDIRECTED, problem)
        else:
            note = Note("Normal", SERVICE_SELECTS, "the Service selects the pods again")
        self._last_word.say(target, problem, note)

    def _forget(self, target: str) -> None:
        """Its policy names no Service any more."""
        self._shown.discard(target)
        self._last_word.forget(target)
        self._metrics.misdirected.remove_by_labels({"target": target})
        self._statuses.misdirected(target, None)
