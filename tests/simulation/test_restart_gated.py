"""A controller that dies in the middle of a promotion: the next one goes on from what is there, and takes nothing back.

Which pods serve and which stand by is read from the cluster, so a snapshot need not say it. What it does say, it may
say of the time before the jump: it is written every five minutes.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from autoscaler.loop import Target, begin, tick
from autoscaler.model import Observation, Outcome, Phase, Relabel
from autoscaler.policies.build import build
from autoscaler.spec import find_policy
from simulations.draw import draw
from simulations.story import ENOUGH, JUMP_S, NO_PAST, SCRAPE_S, push
from simulations.world import Conditions, World

LOADED = find_policy("holiday-push")
SERVED = LOADED.serving(None)
RULE, RAILS = build(LOADED, SERVED, NO_PAST)
TARGET = Target("voice-inference/emotivoice", RULE, RAILS)
KEPT_AT_S = 200.0
END_S = JUMP_S + 90.0


class Look(NamedTuple):
    at_s: float
    serving: int
    replicas: int


class Dies:
    """An actuator that carries out so many promotions, and then the process is gone."""

    def __init__(self, actuator, promotions):
        self.actuator, self.left = actuator, promotions

    def apply(self, actions):
        done = []
        for action in actions:
            if isinstance(action, Relabel) and action.role == "serving":
                if self.left == 0:
                    return (*done, Outcome(action, done=False, detail="killed"))
                self.left -= 1
            done += self.actuator.apply((action,))
        return tuple(done)


class Run:
    """The story, played by one process after the other."""

    def __init__(self):
        self.world = World("push", draw(push(1), SERVED, 1), SERVED, 1, Conditions(scrape_s=SCRAPE_S))
        self.at_s, self.looks = 3.0, []
        self.world.advance(self.at_s)

    def append(self, tick):
        assert isinstance(tick.seen, Observation)
        fleet = tick.seen.fleet
        self.looks.append(Look(tick.decision.at_s, fleet.count(Phase.SERVING), fleet.replicas))

    def process(self, until_s, kept=None, promotions=None):
        """Tick up to a time, or until it dies; gives what it would keep."""
        ports = self.world.ports(self)
        if promotions is not None:
            ports = replace(ports, actuator=Dies(ports.actuator, promotions))
        now_s = ports.clock.now_s()
        state = begin(TARGET, now_s, RULE.recall(kept, now_s) if kept else None)
        while self.at_s <= until_s:
            state = tick(TARGET, ports, state)
            self.at_s += 1.0
            self.world.advance(self.at_s)
            if promotions is not None and ports.actuator.left == 0:
                break
        return RULE.keep(state.memory, ports.clock.now_s())

    def nobody(self, seconds):
        """Time without a controller."""
        self.at_s += seconds
        self.world.advance(self.at_s)

    def lost(self):
        self.world.advance(END_S + 60.0)
        self.world.engine.finish()
        return int(np.isinf(self.world.engine.finish_s).sum())

    def first(self, serving):
        return next(look.at_s for look in self.looks if look.at_s > JUMP_S and look.serving >= serving) - JUMP_S


@pytest.fixture(scope="module")
def whole():
    """The same without an interruption."""
    run = Run()
    run.process(END_S)
    return run


@pytest.mark.parametrize("snapshot", [True, False], ids=["with a snapshot from before the jump", "with none"])
@pytest.mark.parametrize("down_s", [2.0, 18.0], ids=["restarted at once", "taken over after the lease"])
@pytest.mark.parametrize("promotions", [1, 3])
def test_what_was_promoted_stays_and_the_rest_follows(whole, promotions, down_s, snapshot):
    run = Run()
    kept = run.process(KEPT_AT_S)
    run.process(END_S, kept, promotions=promotions)
    died_s, there = run.at_s, run.looks[-1]
    assert 2 <= there.serving < ENOUGH
    run.nobody(down_s)
    before = len(run.looks)
    run.process(END_S, kept if snapshot else None)
    after = run.looks[before:]
    assert min(look.serving for look in after) >= 2 + promotions
    assert min(look.replicas for look in after) >= there.replicas
    late_s = run.first(ENOUGH) - (died_s - JUMP_S)
    assert late_s <= down_s + SCRAPE_S + 2.0
    assert run.lost() == 0
    assert max(look.replicas for look in after) <= max(look.replicas for look in whole.looks) + 1
