"""What the loop needs of the world. Cluster and simulation each bring their own."""

from __future__ import annotations

from typing import Protocol

from autoscaler.model import Action, Fit, Fitted, Fleet, Missing, Outcome, Signals, Tick


class Clock(Protocol):
    """Tells the time."""

    def now_s(self) -> float:
        """Seconds since the epoch."""


class SignalSource(Protocol):
    """Reads what the service says of itself."""

    def read(self, after_s: float, until_s: float, fleet: Fleet) -> Signals:
        """Scrapes with `after_s < at_s <= until_s`, oldest first, summed over the pods of the target.

        `fleet` says which pods should be heard of: one that serves and is silent makes a scrape partial.
        Never raises for a source that fails: what could not be read stands in `problems`.
        """


class FleetSource(Protocol):
    """Knows the pods of the target."""

    def read(self) -> Fleet | Missing:
        """The pods as last known; Missing where that is too old to act on or the target is gone."""


class Actuator(Protocol):
    """The only place that writes to the cluster."""

    def apply(self, actions: tuple[Action, ...]) -> tuple[Outcome, ...]:
        """Carry out the actions in order; one outcome for each. Never raises for a write that fails."""


class Trainer(Protocol):
    """Learns beside the loop, so that no tick waits for a model."""

    def submit(self, fit: Fit) -> None:
        """Begin a job; one that has not begun yet is replaced."""

    def finished(self) -> Fitted | None:
        """What was finished since the last call. A job that failed gives nothing: the last good model stays."""


class Journal(Protocol):
    """Keeps the record of decisions."""

    def append(self, tick: Tick) -> None:
        """Add one tick. A journal that cannot write counts its losses and does not raise."""
