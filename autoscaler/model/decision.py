"""From observation to action: every stage says what it found and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from autoscaler.model.fleet import Fleet
from autoscaler.model.signals import Missing, Signals


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a policy has learned; handed over at a tick, named in the log."""

    digest: str
    model: Any


@dataclass(frozen=True, slots=True)
class Fit:
    """A policy's request to learn, to be run beside the loop on values that nobody else changes.

    It may be worked out in another process: what it is made of can be pickled.
    """

    job: Callable[[], Fitted | None]
    """Gives None where there is too little to learn from."""


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one tick may know."""

    at_s: float
    """Seconds since the epoch, as the injected clock tells them."""
    signals: Signals
    fleet: Fleet
    paused: bool = False
    fitted: Fitted | None = None
    """A model that was finished since the last tick."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that looked at the number of pods: its name, its result and its reason."""

    stage: str
    serving: int
    standby: int
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy's raw wish, with the steps that led to it."""

    serving: int
    standby: int
    steps: tuple[Step, ...]
    insight: Mapping[str, float] = field(default_factory=dict)
    """Figures worth keeping beside the reasons: forecast quantiles, lead time, price."""
    fit: Fit | None = None
    """A model to be learned beside the loop."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall be, after every guard rail."""

    at_s: float
    serving: int
    standby: int
    steps: tuple[Step, ...]
    ruled_by: str
    """The last stage that changed the number, or the first one if none did."""
    insight: Mapping[str, float] = field(default_factory=dict)

    @property
    def replicas(self) -> int:
        """Pods that the Deployment shall have: those that serve and those that stand by."""
        return self.serving + self.standby


@dataclass(frozen=True, slots=True)
class Scale:
    """Set the Deployment's size."""

    replicas: int
    was: int
    version: str
    """The version the decision was made on; a write to another version must be refused."""
    uid: str = ""
    """The Deployment that was decided on; empty in simulation, as is `revision`."""
    revision: str = ""
    """Its newest template. After a conflict, a Deployment with the same uid, size and template may be tried again."""
    kind: Literal["scale"] = "scale"


@dataclass(frozen=True, slots=True)
class Relabel:
    """Give one pod another role."""

    pod: str
    uid: str
    version: str
    role: Literal["serving", "standby", "draining"]
    kind: Literal["relabel"] = "relabel"


Action = Scale | Relabel


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action."""

    action: Action
    done: bool
    detail: str = ""
    withheld: bool = False
    """Not sent, and that is meant: a dry run, a mode, a lost lease, somebody else who sizes the target."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One run of the loop, as it is recorded."""

    target: str
    seen: Observation | Missing
    """Missing: the fleet could not be read, and nothing was decided."""
    decision: Decision | None
    outcomes: tuple[Outcome, ...]
