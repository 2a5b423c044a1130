"""What was learned of a target's starts, shown with its status and as metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autoscaler.cluster.starts import Typical
from autoscaler.cluster.status import Statuses
from autoscaler.model import Missing, Tick
from autoscaler.service.recorder import Metrics

Known = tuple[Sequence[Typical], Missing | None]
"""What is known of a target's starts, the same object until there is something new, and why nothing is known of how
its servers load."""


def shown(known: Known) -> dict[str, Any]:
    """As it stands in a status."""
    typical, missing = known
    said: dict[str, Any] = {"starts": [each.said() for each in typical]} if typical else {}
    lacking = missing is not None and not any(each.loads for each in typical)
    return said | {"loadPhasesMissing": str(missing) if lacking else None}


class StartTimes:
    """Journal that shows what is new of the starts of a target.

    Args:
        known: of a target.
        metrics, statuses: where it is shown.
    """

    def __init__(self, known: Callable[[str], Known], metrics: Metrics, statuses: Statuses) -> None:
        self._known = known
        self._metrics = metrics
        self._statuses = statuses
        self._shown: dict[str, Known] = {}

    def append(self, tick: Tick) -> None:
        """See `Journal`."""
        target, (typical, missing) = tick.target, self._known(tick.target)
        before, missed = self._shown.get(target, ((), None))
        if typical is before and missing == missed:
            return
        self._shown[target] = typical, missing
        self._statuses.about(target, shown((typical, missing)))
        for each in typical:
            self._metrics.starts(target, each)
