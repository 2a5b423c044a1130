"""Events about what lasts: one when it begins, one when it changes, one when it ends."""

import pytest

from autoscaler.cluster.events import Note
from autoscaler.service.lastword import LastWord


class World:
    """A Deployment, a Lease, and the Events that were made."""

    def __init__(self):
        self.uid, self.withheld, self.told = "u1", None, []
        self.last_word = LastWord(lambda _: self.uid, lambda: self.withheld, self)

    def announce(self, _, uid, note):
        self.told.append((uid, note.text))

    def say(self, *states):
        for state in states:
            self.last_word.say("voice/tts", state, Note("Normal", "Reason", state or "well"))


@pytest.fixture
def world():
    return World()


def test_what_lasts_is_said_once_and_so_is_its_end(world):
    world.say("", "wrong", "wrong", "worse", "", "")
    assert world.told == [("u1", "wrong"), ("u1", "worse"), ("u1", "well")]


def test_of_a_deployment_that_is_not_there_it_is_said_when_it_is(world):
    world.uid = ""
    world.say("wrong")
    world.uid = "u1"
    world.say("wrong")
    assert world.told == [("u1", "wrong")]


def test_a_deployment_that_was_made_anew_is_told_what_holds_and_not_what_is_over(world):
    world.say("wrong")
    world.uid = "u2"
    world.say("wrong")
    world.uid = "u3"
    world.say("")
    assert world.told == [("u1", "wrong"), ("u2", "wrong")]


def test_who_begins_to_lead_says_what_then_holds(world):
    world.withheld = "not the leader"
    world.say("wrong")
    world.withheld = None
    world.say("wrong")
    world.withheld = "not the leader"
    world.say("wrong")
    world.withheld = None
    world.say("wrong")
    assert world.told == [("u1", "wrong")] * 2
