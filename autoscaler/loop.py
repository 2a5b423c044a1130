"""Observe, decide, plan, act, record. The only loop: cluster and simulation both run it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from autoscaler.decide import decide
from autoscaler.model import Drain, Fit, Fitted, Missing, Observation, Rails, Tick
from autoscaler.plan import plan
from autoscaler.policies.policy import AnyPolicy
from autoscaler.ports import Actuator, Clock, FleetSource, Journal, SignalSource, Trainer


@dataclass(frozen=True, slots=True)
class Target:
    """One Deployment under one policy."""

    name: str
    policy: AnyPolicy
    rails: Rails
    drain: Drain = Drain.SIGTERM


class Immediate:
    """Learns at once and hands the model over at the next tick: for simulations, where time stands still meanwhile."""

    def __init__(self) -> None:
        self._done: Fitted | None = None

    def submit(self, fit: Fit) -> None:
        """Run the job now."""
        self._done = fit.job()

    def finished(self) -> Fitted | None:
        """The model of the last job, once."""
        done, self._done = self._done, None
        return done


@dataclass(frozen=True, slots=True)
class Ports:
    """The world, as one target sees it."""

    clock: Clock
    signals: SignalSource
    fleet: FleetSource
    actuator: Actuator
    journal: Journal
    trainer: Trainer = field(default_factory=Immediate)


@dataclass(frozen=True, slots=True)
class State:
    """All that a target carries from tick to tick."""

    memory: Any
    """The policy's own."""
    seen_until_s: float
    """Scrapes up to here have been seen."""


def begin(target: Target, at_s: float, memory: Any = None) -> State:  # noqa: ANN401 — the policy's own
    """The state before the first tick: the policy looks back as far as it asked for.

    `memory` is one that another process left; without it the policy starts anew.
    """
    return State(target.policy.start() if memory is None else memory, at_s - target.policy.lookback_s)


def tick(target: Target, ports: Ports, state: State, *, paused: bool = False) -> State:
    """Run the loop once.

    A fleet that cannot be read is recorded and nothing is decided: the next tick reads all that this one left.
    """
    fleet = ports.fleet.read()
    if isinstance(fleet, Missing):
        ports.journal.append(Tick(target.name, fleet, None, ()))
        return state

    now_s = ports.clock.now_s()
    signals = ports.signals.read(state.seen_until_s, now_s, fleet)
    seen = Observation(now_s, signals, fleet, paused, ports.trainer.finished())
    memory, proposal = target.policy.propose(state.memory, seen)
    if proposal.fit is not None:
        ports.trainer.submit(proposal.fit)
    decision = decide(proposal, seen, target.rails)
    actions = () if paused else plan(decision, fleet, target.drain, signals.idle)
    outcomes = ports.actuator.apply(actions)
    ports.journal.append(Tick(target.name, seen, decision, outcomes))

    seen_until_s = signals.scrapes[-1].at_s if signals.scrapes else state.seen_until_s
    return State(memory, seen_until_s)
