"""A decision log run again: every tick sees what it saw, through the same loop, under the policies given.

Nothing is asked of Prometheus or of a cluster, and nothing is written. Under the policies that were in force the
decisions are the same, byte for byte; under others it shows where they would have been different, as long as what was
seen does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.journal.beginnings import Began, Learned
from autoscaler.journal.log import Record, encode
from autoscaler.loop import Ports, State, Target, begin, tick
from autoscaler.model import Action, Fit, Fitted, Fleet, Missing, Observation, Outcome, Signals, Tick
from autoscaler.policies.policy import Lasting
from autoscaler.service.once import Kept

NOTHING_SEEN = Observation(0.0, Signals(()), Fleet(0, ()))
"""For a tick that could not read the fleet, and so reads nothing else."""


@dataclass(frozen=True, slots=True)
class Again:
    """A recorded tick, and what it gives now."""

    recorded: Tick
    now: Tick | None
    """None: it was not run, for the log does not hold the beginning of its target, or there is no policy for it."""

    @property
    def same(self) -> bool:
        """Whether both are the same bytes of a log."""
        return self.now is not None and encode(self.now) == encode(self.recorded)


def rerun(records: Iterable[Record], targets: Mapping[str, Target]) -> Iterator[Again]:
    """Run the ticks of a log again, oldest first.

    Args:
        records: of one log, which may hold several targets.
        targets: what to run them under, by name.

    Raises:
        InvalidInput: what a target went on with is not for the policy given.
    """
    running: dict[str, Rerun] = {}
    for record in records:
        if isinstance(record, Tick):
            again = running.get(record.target)
            yield Again(record, again.tick(record) if again else None)
        elif isinstance(record, Learned):
            if record.target in running:
                running[record.target].learned.append(record)
        elif record.target in targets:
            before = running.pop(record.target, None)
            if before is not None or not record.carried:
                running[record.target] = Rerun(targets[record.target], record, before)


class Rerun:
    """One target from one beginning on.

    Args:
        target: what to run.
        began: what it went on with.
        before: itself until then.

    Attributes:
        learned: what the log says of pasts that were learned from; ticks adopt them.
    """

    def __init__(self, target: Target, began: Began, before: Rerun | None) -> None:
        self._target, self._began = target, began
        self._kept = began.kept.encode() if began.kept is not None else None
        self._state: State = begin(target, began.at_s, self._memory(before))
        self._fits: list[Fit] = []
        self.learned: list[Learned] = []

    def _memory(self, before: Rerun | None) -> Any | None:  # noqa: ANN401 — the policy's own
        policy, kept, at_s = self._target.policy, self._kept, self._began.at_s
        if kept is None or not isinstance(policy, Lasting):
            return None
        if before is not None and self._began.carried:
            return policy.carried(before._state.memory, kept, at_s)
        return policy.recall(kept, at_s)

    def tick(self, recorded: Tick) -> Tick:
        """What a tick gives now; of its writes the outcome is the one that is recorded."""
        told = Kept()
        looked = recorded.seen if isinstance(recorded.seen, Observation) else NOTHING_SEEN
        ports = Ports(
            clock=_At(looked.at_s),
            signals=_Seen(looked.signals),
            fleet=_Pods(recorded.seen if isinstance(recorded.seen, Missing) else looked.fleet),
            actuator=_Outcomes(recorded.outcomes),
            journal=told,
            trainer=_Models(self, looked.fitted),
        )
        self._state = tick(self._target, ports, self._state, paused=looked.paused)
        return told.ticks[-1]

    def fit(self, fit: Fit) -> None:
        """A job that the policy asked for; it is run when a tick adopts its model."""
        self._fits.append(fit)

    def model(self, digest: str) -> Fitted | None:
        """The model of a digest, learned again; None where it cannot be."""
        policy = self._target.policy
        if isinstance(policy, Lasting):
            for each in self.learned:
                if each.digest == digest and each.at_s >= self._began.at_s:
                    self.learned.remove(each)
                    return policy.warmed(each.past, self._kept, each.at_s)
        while self._fits:
            found = self._fits.pop(0).job()
            if found is not None and found.digest == digest:
                return found
        return None


@dataclass(frozen=True, slots=True)
class _At:
    at_s: float

    def now_s(self) -> float:
        return self.at_s


@dataclass(frozen=True, slots=True)
class _Seen:
    signals: Signals

    def read(self, after_s: float, until_s: float, fleet: Fleet) -> Signals:  # noqa: ARG002
        return self.signals


@dataclass(frozen=True, slots=True)
class _Pods:
    fleet: Fleet | Missing

    def read(self) -> Fleet | Missing:
        return self.fleet


@dataclass(frozen=True, slots=True)
class _Outcomes:
    recorded: tuple[Outcome, ...]

    def apply(self, actions: tuple[Action, ...]) -> tuple[Outcome, ...]:
        known = {outcome.action: outcome for outcome in self.recorded}
        return tuple(known.get(action, Outcome(action, done=False, detail="not in the log")) for action in actions)


@dataclass(frozen=True, slots=True)
class _Models:
    again: Rerun
    adopted: Fitted | None

    def submit(self, fit: Fit) -> None:
        self.again.fit(fit)

    def finished(self) -> Fitted | None:
        return self.again.model(self.adopted.digest) if self.adopted else None
