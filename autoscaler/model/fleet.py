"""The pods of one target, as far as scaling is concerned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """The four states of a pod that holds a GPU."""

    STARTING = "starting"
    STANDBY = "standby"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod that holds, or will hold, a GPU."""

    name: str
    phase: Phase
    ordered_at_s: float
    loaded_at_s: float | None = None
    """When the model was ready; None while it is starting."""
    gated: bool = False
    """Kept out of the Service by its role label; a starting pod that is gated becomes standby."""
    stuck: bool = False
    """Its start will not end by itself (crash loop, unschedulable, far later than any start before)."""
    uid: str = ""
    version: str = ""
    """The API's resourceVersion that was read; empty in simulation."""
    revision: str = ""
    """Hash of the pod template."""
    ending: bool = False
    """It is being deleted: no longer part of the size."""
    role_since_s: float | None = None
    """When a controller last gave it a role; None: it has the role it was made with, or it is not told."""


class Hindrance(StrEnum):
    """What keeps starts from going on, in the order of a start."""

    REFUSED = "not made"
    """The API server takes no more: a quota, a limit range, an admission."""
    NO_NODE = "without a node"
    NO_IMAGE = "without image"
    FAILS = "whose containers fail"
    LATE = "not Ready past the progress deadline"
    """Without a cause that the cluster names: a model that never loads, a probe that asks in vain, a volume that is
    not there."""


@dataclass(frozen=True, slots=True)
class Hindered:
    """Starts that do not go on for one and the same cause. It is told, and decides nothing."""

    hindrance: Hindrance
    count: int
    message: str
    """Of the cluster, about one of them."""
    pods: tuple[str, ...] = ()
    """Some of them by name; those that were not made have none."""

    def __str__(self) -> str:
        named = f" ({', '.join(self.pods)}{' …' * (self.count > len(self.pods))})" if self.pods else ""
        said = f": {self.message}" if self.message else ""
        return f"{self.count} pod{'s' * (self.count != 1)} {self.hindrance}{named}{said}"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A change of the size by somebody else."""

    at_s: float
    by: str
    """The field manager: `kubectl`, a GitOps tool, a second controller."""
    was: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the cluster wants and what it has."""

    replicas: int
    """What the Deployment asks for (spec.replicas)."""
    pods: tuple[Pod, ...]
    reported: int = -1
    """What the Deployment counts (status.replicas): every pod but those that are ending."""
    uid: str = ""
    version: str = ""
    """The resourceVersion that a conditional write refers to."""
    generation: int = 0
    """Of the Deployment's spec; 0 in simulation."""
    revision: str = ""
    """Hash of the newest pod template."""
    starts_as: str = ""
    """What of that template starts depend on, its images and node selector, as a digest; empty in simulation."""
    rolling_out: bool = False
    rewrites: tuple[Rewrite, ...] = ()
    """What others did to the size in the last ten minutes, oldest first."""
    hindered: tuple[Hindered, ...] = ()
    """Starts that do not go on."""

    def of(self, phase: Phase) -> tuple[Pod, ...]:
        """Pods in one phase, in the fleet's order."""
        return tuple([pod for pod in self.pods if pod.phase is phase])

    def count(self, phase: Phase) -> int:
        """Number of pods in one phase."""
        return [pod.phase for pod in self.pods].count(phase)

    @property
    def standing_by(self) -> int:
        """Pods of the size that are kept out of the Service, those that still load included."""
        return self.count(Phase.STANDBY) + sum(pod.gated for pod in self.of(Phase.STARTING))
