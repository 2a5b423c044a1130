"""What a policy is: a pure rule from memory and observation to a wish."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from autoscaler.model import Observation, Proposal

Memory = TypeVar("Memory")


class Policy(Protocol[Memory]):
    """One scaling rule.

    `propose` is a pure function: no clock, no I/O, no randomness, no hidden state. All that a policy
    remembers between ticks is its `Memory`, a frozen dataclass of plain values.
    """

    @property
    def tick_s(self) -> float:
        """Seconds between two decisions."""

    @property
    def lookback_s(self) -> float:
        """How far before the first tick the policy wants to see scrapes."""

    def start(self) -> Memory:
        """The memory before the first tick."""

    def propose(self, memory: Memory, seen: Observation) -> tuple[Memory, Proposal]:
        """The wish for this tick and the memory for the next one."""


AnyPolicy = Policy[Any]
