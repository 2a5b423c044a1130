"""Replays that a page shows over time, within what one page can carry."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.model import Workload
from simulations.report.summary import measured
from simulations.report.timeline import Budget, packed
from simulations.result import Figures, Result

POINTS, CHANGES = 240_000, 40_000
"""What a page carries in all; it stays under about 6 MB."""


@dataclass(frozen=True, slots=True)
class Closeup:
    """One replay that the page shows over time."""

    figures: Figures
    clock: bool
    """Whether its times are clock times, or count from its start."""
    packed: str


def budget(closeups: int) -> Budget:
    """What each of so many replays may take of one page."""
    whole = Budget()
    return Budget(
        points=min(whole.points, max(500, POINTS // closeups)),
        changes=min(whole.changes, max(50, CHANGES // closeups)),
    )


def closeup(result: Result, reference: Result | None, workload: Workload, share: Budget) -> Closeup:
    """Pack one replay for the page; done one by one, so that a comparison need not hold all timelines.

    Args:
        result: the replay; where there is a reference, measured against it.
        reference: the replay of the clairvoyant plan on the same traffic.
        workload: what is served.
        share: what this replay may take of the page.
    """
    figures = measured(result.figures, reference.figures) if reference else result.figures
    against = reference.timeline if reference else None
    return Closeup(figures, result.timeline.start_s > 0, packed(result, against, workload, share))
