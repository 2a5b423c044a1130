"""What no decision may leave, whatever the policy wishes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """How much the controller may do."""

    OBSERVE = "observe"
    """Decide and record; the actuator withholds every write."""
    ASSIST = "assist"
    """Grow, never shrink."""
    FULL = "full"


class Drain(StrEnum):
    """How pods that serve are taken away."""

    SIGTERM = "sigterm"
    """The scale is lowered; the server finishes what it holds when it is told to end."""
    LABEL = "label"
    """A pod leaves the Service first; the scale is lowered when it holds nothing any more."""


@dataclass(frozen=True, slots=True)
class Rails:
    """Guard rails around every policy."""

    min_replicas: int
    max_replicas: int
    mode: Mode = Mode.FULL

    def __post_init__(self) -> None:
        if not 0 <= self.min_replicas <= self.max_replicas:
            raise ValueError(f"bounds must be 0 <= min <= max, not {self.min_replicas} and {self.max_replicas}")
