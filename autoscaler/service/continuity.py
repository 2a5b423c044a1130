"""How a target begins in this process: with what another one kept of it, and with its past from Prometheus.

Nothing of it holds up a tick. Without either, or while either is missing, the policy decides as one that begins.
Under a changed policy that counts as the one before did, it goes on with all that this process knew of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from operator import call
from typing import Any, Protocol

import structlog

from autoscaler.journal.beginnings import Began, Learned
from autoscaler.loop import Ports, State
from autoscaler.model import Fit, Fitted, History, InvalidInput, Unreachable
from autoscaler.policies.policy import Lasting
from autoscaler.ports import Trainer
from autoscaler.prometheus.history import words
from autoscaler.service.learner import Job, LearningFailed
from autoscaler.service.recorder import Metrics

KEEP_EVERY_S = 300.0
"""What a killed process loses at most; the counts that are kept fade over days."""
PAUSES_S = (30.0, 60.0, 120.0, 300.0, 900.0, 1800.0)
"""Between attempts to read the past; the last one again and again."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Left:
    """What one runner of a target leaves to the next one of this process.

    Attributes:
        kept: what a policy of any process could go on with.
        state, ports: all that it ticked with; None where the next one cannot go on with that.
    """

    kept: bytes
    state: State | None
    ports: Ports | None

    @property
    def kept_alone(self) -> Left:
        """For a policy that counts otherwise, or under another clock."""
        return replace(self, state=None, ports=None)


class Store(Protocol):
    """Where memories outlive a process."""

    def kept(self, target: str) -> str | None:
        """What was kept of a target last."""

    def keep(self, target: str, text: str) -> None:
        """Keep it, beside the loop."""


class Witness(Protocol):
    """Writes down how targets begin."""

    def note(self, other: Began | Learned) -> None:
        """Write it; never raises for a disk that is full."""


class Continuity:
    """The beginning and the keeping of one target.

    Args:
        name: of the target.
        policy: its own.
        store: where its memory outlives this process.
        read_history: the past up to a time; None where Prometheus has none. Raises Unreachable and InvalidInput.
        trainer: reads the past and learns from it beside the ticks; they take what it has finished.
        metrics: where the length of the past and refused memories are shown.
        learn: works out a job and gives what it gives. Raises LearningFailed.
        left: what another runner of this process left, newer than anything in the store; with its state only where
            the policy continues the one of then.
        witness: is told of the past that was learned from.

    Attributes:
        recalled: what the target goes on with; None: it began with nothing.
        left: what it will go on with at its first tick, if that is of this process; then None.
        seen_until_s: scrapes up to here are known to a memory that went on within this process; None: to none.
    """

    def __init__(
        self,
        name: str,
        policy: Lasting,
        store: Store,
        read_history: Callable[[float], History | None],
        *,
        trainer: Trainer,
        metrics: Metrics,
        learn: Callable[[Job], Fitted | None] = call,
        left: Left | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._name = name
        self._policy = policy
        self._store = store
        self._read_history = read_history
        self._trainer = trainer
        self._metrics = metrics
        self._work_out = learn
        self.left = left
        self._witness = witness
        self.recalled: bytes | None = None
        self.seen_until_s: float | None = None
        self._kept_at_s = 0.0
        self._attempts = 0
        self._again_s: float | None = None

    def begin(self, at_s: float) -> Any | None:  # noqa: ANN401 — the policy's memory
        """A memory to go on with, None where there is none; the past is asked for."""
        self._kept_at_s, self._attempts = at_s, 0
        memory = self._recall(at_s)
        if memory is None or not self._policy.knows_the_past(memory):
            self._ask(at_s)
        return memory

    def tend(self, memory: Any, at_s: float) -> None:  # noqa: ANN401
        """After a tick: keep what is due to be kept, ask for the past again if nothing came of it."""
        if at_s - self._kept_at_s >= KEEP_EVERY_S:
            self.keep(memory, at_s)
        if self._again_s is not None and at_s >= self._again_s:
            self._ask(at_s)

    def keep(self, memory: Any, at_s: float) -> bytes | None:  # noqa: ANN401
        """Keep the memory as it is now; gives what is kept.

        One that cannot be written within the bounds of its format leaves what was kept before.
        """
        self._kept_at_s = at_s
        try:
            kept = self._policy.keep(memory, at_s)
        except ValueError as error:
            _log.error("the memory cannot be kept", target=self._name, error=str(error))
            return None
        self._store.keep(self._name, kept.decode())
        return kept

    def _recall(self, at_s: float) -> Any | None:  # noqa: ANN401
        text, left = self._store.kept(self._name), self.left
        self.left = None  # it holds all that the one before knew
        self.recalled = left.kept if left else text.encode() if text else None
        carried = left.state if left else None
        if self.recalled is None:
            _log.info("nothing was kept of this target: it begins", target=self._name)
            return None
        try:
            if carried is None:
                memory = self._policy.recall(self.recalled, at_s)
            else:
                memory = self._policy.carried(carried.memory, self.recalled, at_s)
                self.seen_until_s = carried.seen_until_s
        except InvalidInput as error:
            self.recalled = None
            self._metrics.refused.labels(self._name).inc()
            _log.error("what was kept is refused: the target begins", target=self._name, problems=error.problems)
            return None
        known = "all that was known" if carried else "what was kept"
        _log.info(f"goes on with {known}", target=self._name, kept_bytes=len(self.recalled))
        return memory

    def _ask(self, at_s: float) -> None:
        self._again_s = None
        self._trainer.submit(Fit(lambda: self._learn(at_s)))

    def _learn(self, at_s: float) -> Fitted | None:
        """Read the past and learn from it: in the trainer's thread."""
        try:
            history = self._read_history(at_s)
            fitted = self._warmed(history, at_s) if history is not None else None
        except (Unreachable, InvalidInput, LearningFailed) as error:
            pause_s = PAUSES_S[min(self._attempts, len(PAUSES_S) - 1)]
            self._attempts += 1
            self._again_s = at_s + pause_s
            _log.error("nothing is learned of the past", target=self._name, error=str(error), again_in_s=pause_s)
            return None
        if history is None:
            self._metrics.history_s.labels(self._name).set(0)
            _log.warning("Prometheus has no past of this target", target=self._name)
            return None
        self._metrics.history_s.labels(self._name).set(len(history.counts) * history.bin_s)
        if fitted is not None and self._witness is not None:
            self._witness.note(Learned.of(self._name, fitted.digest, at_s, history))
        _log.info("the past is learned", target=self._name, model=fitted and fitted.digest, **words(history))
        return fitted

    def _warmed(self, history: History, at_s: float) -> Fitted | None:
        return self._work_out(partial(self._policy.warmed, history, self.recalled, at_s))
