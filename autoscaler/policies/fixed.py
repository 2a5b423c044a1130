"""A constant number of pods: the plainest thing to compare with."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.model import InvalidInput, Observation, Proposal, Step


@dataclass(frozen=True, slots=True)
class FixedMemory:
    """A constant needs none."""


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """Always the same size."""

    replicas: int
    standby: int = 0
    """Loaded pods beside those that serve."""
    tick_s: float = 15.0
    lookback_s: float = 0.0

    def __post_init__(self) -> None:
        if self.replicas < 0 or self.standby < 0:
            raise InvalidInput(f"fixed: {self.replicas} replicas and {self.standby} standby — neither below 0")

    def start(self) -> FixedMemory:
        """The empty memory."""
        return FixedMemory()

    def propose(self, memory: FixedMemory, seen: Observation) -> tuple[FixedMemory, Proposal]:  # noqa: ARG002
        """The same wish at every tick."""
        step = Step("fixed", self.replicas, self.standby, f"always {self.replicas} serving, {self.standby} standby")
        return memory, Proposal(self.replicas, self.standby, (step,))
