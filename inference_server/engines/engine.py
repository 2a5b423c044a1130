"""What the server asks of a model, and what a model may ask of the server."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol, TypeVar

Kind = Literal["recognition", "synthesis", "sleep"]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Which pieces may be computed together. Without any, every piece runs alone.

    Attributes:
        max_pieces: the most pieces in one batch.
        max_padded_cost: the most that pieces x longest piece may come to.
        call_cost: what a call costs beside its pieces, or less, to be safe: so much padding is a saved call worth.
        max_shared_cost: a longer piece runs alone: the call is then little of what it costs.
    """

    max_pieces: int = 1
    max_padded_cost: float = inf
    call_cost: float = 0.0
    max_shared_cost: float = inf


class Piece(Protocol):
    """What one call of the model works on: a clip, a sentence, a nap."""

    @property
    def cost(self) -> float:
        """Work in the engine's unit: seconds of audio, characters, seconds of sleep. Finite, above 0."""

    @property
    def group(self) -> Hashable:
        """Pieces of different groups never share a batch: their options differ."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the last call of a warm-up took.

    Attributes:
        cost: of its pieces.
        service_s: time of the model.
    """

    cost: float
    service_s: float


def call_cost(short: Rehearsal, long: Rehearsal) -> float:
    """What a call costs beside its piece, in the unit of cost: where the line through both calls meets no time.

    Infinite where the longer one took no longer, as on a GPU that waits for its next kernel anyway; never below 0.
    """
    slope = (long.service_s - short.service_s) / (long.cost - short.cost)
    return max(0.0, short.service_s / slope - short.cost) if slope > 0 else inf


PieceT_contra = TypeVar("PieceT_contra", bound=Piece, contravariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)


class Phases(Protocol):
    """Times the phases of a start."""

    def __call__(self, name: str) -> AbstractContextManager[None]:
        """Everything inside the returned context belongs to phase `name`."""


class Engine(Protocol[PieceT_contra, ResultT_co]):
    """One model. The server calls `load` once and then `run`, from at most `slots` threads at a time."""

    @property
    def kind(self) -> Kind:
        """Which routes the server offers."""

    @property
    def model(self) -> str:
        """The name clients see in `/v1/models`."""

    @property
    def device(self) -> str:
        """Where it computes: `cpu`, `cuda:0`, or `none`."""

    @property
    def slots(self) -> int:
        """Batches that may run at the same time."""

    @property
    def batching(self) -> BatchLimits:
        """What may be computed together."""

    def load(self, phase: Phases) -> Rehearsal | None:
        """Load and warm up; ready when it returns. Any exception ends the process."""

    def run(self, batch: Sequence[PieceT_contra]) -> Sequence[ResultT_co]:
        """One result for each piece, in order. The batch keeps within `batching` and is of one group."""
