"""How a target begins: with what was kept, with its past, with neither; and what is kept of it."""

from functools import partial
from operator import call

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from autoscaler.journal.beginnings import Learned
from autoscaler.loop import Immediate, State
from autoscaler.model import Fitted, History, InvalidInput, Unreachable
from autoscaler.service.continuity import KEEP_EVERY_S, PAUSES_S, Continuity, Left
from autoscaler.service.learner import LearningFailed
from autoscaler.service.recorder import Metrics

NAME = "voice/tts"
PAST = History(60.0, np.full(120, 60), 7200.0)


class Counting:
    """A policy that remembers a number."""

    tick_s, lookback_s, reach_s = 5.0, 0.0, 86400.0

    def keep(self, memory, at_s):
        if memory > 9999:
            raise ValueError("more than four digits")
        return b"%d" % memory

    def recall(self, kept, at_s):
        if not kept.isdigit():
            raise InvalidInput("kept memory: no number")
        return int(kept)

    def carried(self, memory, kept, at_s):
        return memory + self.recall(kept, at_s)

    def knows_the_past(self, memory):
        return memory >= 1000

    def warmed(self, history, kept, at_s):
        return Fitted("learned", (len(history.counts), kept, at_s))


class Shelf(dict):
    """A store."""

    def kept(self, target):
        return self.get(target)

    def keep(self, target, text):
        self[target] = text


class World:
    def __init__(self, kept=None, past=lambda _: PAST, learn=call, left=None):
        self.registry, self.trainer, self.asked, self.noted = CollectorRegistry(), Immediate(), [], []
        self.shelf = Shelf({NAME: kept} if kept is not None else {})
        self.continuity = Continuity(
            NAME,
            Counting(),
            self.shelf,
            partial(self.read, past),
            trainer=self.trainer,
            metrics=self.metrics(),
            learn=learn,
            left=left,
            witness=self,
        )

    def note(self, other):
        self.noted.append(other)

    def metrics(self):
        return Metrics(self.registry)

    def read(self, past, at_s):
        self.asked.append(at_s)
        return past(at_s)

    def begin(self):
        with capture_logs() as self.logs:
            return self.continuity.begin(100.0)

    def sample(self, name):
        return self.registry.get_sample_value(f"speech_autoscaler_{name}", {"target": NAME})


def test_what_was_kept_goes_on_and_the_past_is_learned_beside_it():
    world = World(kept="41")
    assert world.begin() == 41
    assert world.trainer.finished() == Fitted("learned", (120, b"41", 100.0))
    assert world.sample("history_seconds") == 7200.0
    assert world.noted == [Learned.of(NAME, "learned", 100.0, PAST)]
    assert world.continuity.recalled == b"41"


def test_with_nothing_kept_the_policy_begins_and_learns_from_the_past_alone():
    world = World()
    assert world.begin() is None
    assert world.trainer.finished().model == (120, None, 100.0)


@pytest.mark.parametrize(
    ("left", "goes_on_with", "since_s", "asked"),
    [
        pytest.param(Left(b"41", State(1000, 93.0), None), 1041, 93.0, [], id="all that was known"),
        pytest.param(Left(b"41", State(0, 93.0), None), 41, 93.0, [100.0], id="all, but no past has come yet"),
        pytest.param(Left(b"41", State(1000, 93.0), None).kept_alone, 41, None, [100.0], id="what was kept alone"),
    ],
)
def test_within_a_process_it_goes_on_with_what_the_one_before_left(left, goes_on_with, since_s, asked):
    world = World(kept="7", left=left)
    assert world.begin() == goes_on_with
    assert (world.continuity.recalled, world.continuity.seen_until_s, world.asked) == (b"41", since_s, asked)
    assert world.continuity.left is None


def test_what_does_not_fit_is_refused_loudly_and_not_learned_from():
    world = World(kept="x")
    assert world.begin() is None
    assert world.trainer.finished().model == (120, None, 100.0)
    assert world.continuity.recalled is None
    assert world.sample("kept_memory_refused_total") == 1
    [said] = [line for line in world.logs if line["log_level"] == "error"]
    assert said["problems"] == ("kept memory: no number",)


def test_a_prometheus_without_a_past_is_said_once():
    world = World(kept="41", past=lambda _: None)
    assert world.begin() == 41
    assert world.trainer.finished() is None
    assert world.sample("history_seconds") == 0.0
    assert [line["log_level"] for line in world.logs] == ["info", "warning"]
    world.continuity.tend(41, 100.0 + 10 * PAUSES_S[-1])
    assert world.asked == [100.0]


@pytest.mark.parametrize("error", [Unreachable("down"), InvalidInput("refused")], ids=["down", "refused"])
def test_a_prometheus_that_fails_is_asked_again_after_longer_and_longer_pauses(error):
    def fails(_):
        raise error

    world = World(past=fails)
    assert world.begin() is None
    assert [line["again_in_s"] for line in world.logs if line["log_level"] == "error"] == [30.0]
    for at_s in np.arange(100.0, 500.0, 5.0):
        world.continuity.tend(0, at_s)
    assert world.asked == [100.0, 130.0, 190.0, 310.0]


def test_a_past_that_nothing_was_learned_from_is_learned_from_later():
    failures = [LearningFailed("killed by SIGKILL")]

    def learn(job):
        if failures:
            raise failures.pop()
        return job()

    world = World(kept="41", learn=learn)
    assert world.begin() == 41
    assert world.trainer.finished() is None
    [said] = [line for line in world.logs if line["log_level"] == "error"]
    assert (said["error"], said["again_in_s"]) == ("killed by SIGKILL", 30.0)
    world.continuity.tend(41, 130.0)
    assert world.trainer.finished() == Fitted("learned", (120, b"41", 130.0))


def test_the_memory_is_kept_now_and_then_and_when_told():
    world = World()
    world.begin()
    kept = {}
    for at_s in np.arange(105.0, 100.0 + 3 * KEEP_EVERY_S, 5.0):
        world.continuity.tend(int(at_s), at_s)
        kept[world.shelf.get(NAME)] = at_s
    assert [key for key in kept if key] == ["400", "700"]
    world.continuity.keep(999, 999.0)
    assert world.shelf[NAME] == "999"


def test_a_memory_that_cannot_be_written_leaves_what_was_kept_and_ends_nothing():
    """It is asked for when the process ends too, and then the Lease is still to be given back."""
    world = World(kept="41")
    world.begin()
    assert world.continuity.keep(42, 100.0) == b"42"
    with capture_logs() as logs:
        assert world.continuity.keep(10_000, 200.0) is None
    assert world.shelf[NAME] == "42"
    assert [line["event"] for line in logs] == ["the memory cannot be kept"]
