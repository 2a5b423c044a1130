"""What a policy is: a pure rule from memory and observation to a wish."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

from autoscaler.model import Fitted, History, Observation, Proposal

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


@runtime_checkable
class Lasting(Protocol):
    """A policy that goes on where another process left it.

    What cannot be measured again is kept, in a few kilobytes; the past is read again and learned from beside the
    ticks. A memory that was recalled decides from its first tick on; `warmed` comes to it as `Observation.fitted`.
    """

    @property
    def reach_s(self) -> float:
        """How much of the past it learns from."""

    def keep(self, memory: Any, at_s: float) -> bytes:  # noqa: ANN401 — the policy's own
        """What of a memory cannot be measured again."""

    def recall(self, kept: bytes, at_s: float) -> Any:  # noqa: ANN401
        """A memory to go on with at a time.

        Raises:
            InvalidInput: kept by something else, too long ago, or not what `keep` writes.
        """

    def continues(self, before: AnyPolicy) -> bool:
        """Whether what a memory under another policy knows of the service holds under this one too.

        Of what differs, everything only rules over decisions.
        """

    def carried(self, memory: Any, kept: bytes, at_s: float) -> Any:  # noqa: ANN401
        """A memory to go on with at a time, from one that ticked under a policy that this one continues.

        What it knows of the service is taken out of it; what follows from decisions is what was kept of it.

        Raises:
            InvalidInput: as `recall` does.
        """

    def knows_the_past(self, memory: Any) -> bool:  # noqa: ANN401
        """Whether what `warmed` taught has come to a memory."""

    def warmed(self, history: History, kept: bytes | None, at_s: float) -> Fitted | None:
        """What a history teaches, beside what was kept; takes seconds. None where it is too short to teach anything."""
