"""What was learned of a target's starts, shown with its status and as a metric."""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.cluster.starts import Typical
from autoscaler.cluster.status import Statuses
from autoscaler.model import Tick
from autoscaler.service.recorder import Metrics


class StartTimes:
    """Journal that shows what is new of the starts of a target.

    Args:
        typical: what is known of a target's starts, the same object until there is something new.
        metrics, statuses: where it is shown.
    """

    def __init__(self, typical: Callable[[str], Typical | None], metrics: Metrics, statuses: Statuses) -> None:
        self._typical = typical
        self._metrics = metrics
        self._statuses = statuses
        self._shown: dict[str, Typical] = {}

    def append(self, tick: Tick) -> None:
        """See `Journal`."""
        target, found = tick.target, self._typical(tick.target)
        if found is None or found is self._shown.get(target):
            return
        self._shown[target] = found
        self._statuses.about(target, {"starts": found.said()})
        for phase, (median_s, slow_s) in found.phases_s.items():
            self._metrics.start_s.labels(target, phase, "0.5").set(median_s)
            self._metrics.start_s.labels(target, phase, "0.95").set(slow_s)
