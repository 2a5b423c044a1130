"""What is known to come: pushes, campaigns, the Monday morning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time


@dataclass(frozen=True, slots=True)
class Moment:
    """A local time: of one date, of one day of every week, or of every day."""

    at: time
    weekday: int | None = None
    """0 is Monday."""
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Load that somebody announces. Exactly one of the two loads is stated."""

    name: str
    begin: Moment
    end: Moment
    """Of the same kind; of a recurring event, the next such moment after each beginning."""
    rate_rps: float | None = None
    """Requests a second while it lasts."""
    factor: float | None = None
    """Requests while it lasts, over those of the ten minutes before it."""
