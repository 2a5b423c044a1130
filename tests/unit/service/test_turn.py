"""The right to write once: a Lease that is free or has run out is taken, one that is renewed has a living holder."""

from dataclasses import replace

import pytest

from autoscaler.cluster.lease import Conflict, Record, Timing
from autoscaler.model import Unreachable
from autoscaler.service.turn import Turn

TIMING = Timing(15.0, 10.0, 2.0)


class World:
    """A Lease, and time that passes while somebody waits; `renews` keeps the Lease of its holder alive."""

    def __init__(self, holder=None, renews=False, down=False):
        self.record = None if holder is None else Record(holder, 15.0, 3, "", "", "v0")
        self.renews, self.down, self.now_s, self.writes = renews, down, 100.0, 0
        self.turn = Turn(self, "once", TIMING, clock=lambda: self.now_s, sleep=self.sleep)

    def sleep(self, seconds):
        self.now_s += seconds
        if self.renews:
            self.record = replace(self.record, version=f"v{self.now_s}")

    def read(self):
        if self.down:
            raise Unreachable("down")
        return self.record

    def create(self, record):
        return self._write(record)

    def replace(self, record):
        if record.version != self.record.version:
            raise Conflict
        return self._write(record)

    def _write(self, record):
        self.writes += 1
        self.record = replace(record, version=f"w{self.writes}")
        return self.record


@pytest.mark.parametrize(
    ("holder", "waited_s"),
    [
        pytest.param(None, 0.0, id="there is none"),
        pytest.param("", 0.0, id="it was given back"),
        pytest.param("dead", 16.0, id="its holder is dead"),
        pytest.param("once", 16.0, id="of this name, and nobody renews it"),
    ],
)
def test_a_lease_that_nobody_lives_under_is_taken(holder, waited_s):
    world = World(holder)
    assert world.turn.take() is None
    assert (world.record.holder, world.now_s - 100.0) == ("once", waited_s)
    assert world.turn.forbidden() is None


@pytest.mark.parametrize("holder", ["pod-a", "once"], ids=["another", "the controller of this very pod"])
def test_beside_a_living_leader_nothing_is_written_and_it_is_named(holder):
    world = World(holder, renews=True)
    assert world.turn.take() == f"{holder} leads and renews its Lease"
    assert world.turn.forbidden() == f"{holder} leads and renews its Lease"
    world.turn.renew()
    world.turn.release()
    assert (world.record.holder, world.writes) == (holder, 0)


def test_without_an_answer_nothing_is_written():
    world = World(down=True)
    assert world.turn.take() == "the Lease cannot be asked: down"
    assert world.turn.forbidden()


def test_before_it_is_taken_nothing_is_written():
    assert World().turn.forbidden() == "the Lease was not asked for"


def test_many_targets_take_long_and_it_is_renewed_between_them():
    world = World()
    world.turn.take()
    for _ in range(4):
        world.sleep(8.0)
        assert world.turn.forbidden() is None
        world.turn.renew()
    world.sleep(10.0)
    assert world.turn.forbidden() == "the Lease has run out"


def test_it_is_given_back():
    world = World()
    world.turn.take()
    world.turn.release()
    assert world.record.holder == ""
    assert world.turn.forbidden() == "the Lease has run out"
