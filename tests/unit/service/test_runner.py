"""Ticks of one target: only while leading, each after the other, whatever one of them ends in."""

import threading

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from autoscaler.journal.beginnings import Began
from autoscaler.loop import Ports, Target
from autoscaler.model import (
    Cause,
    Fleet,
    Missing,
    Observation,
    Outcome,
    Phase,
    Pod,
    Problem,
    Proposal,
    Rails,
    Scale,
    Scrape,
    Signals,
    Step,
    Tick,
)
from autoscaler.service.continuity import Left
from autoscaler.service.recorder import Metrics, Recorder
from autoscaler.service.runner import GIVEN_UP, PAUSED, Runner


class Wish:
    """A policy that wants what it is told, and counts its ticks."""

    tick_s, lookback_s = 5.0, 60.0

    def __init__(self, wish=2):
        self.wish = wish
        self.memories = []

    def start(self):
        return 0

    def propose(self, memory, seen):
        self.memories.append(memory)
        if self.wish is None:
            raise RuntimeError("broken")
        return memory + 1, Proposal(self.wish, 0, (Step("wish", self.wish, 0, "told so"),), {"price": 1.5})


class World:
    """All ports in one."""

    def __init__(self, metrics, problems=()):
        self.recorder = Recorder(metrics)
        self.problems = problems
        self.reads = []
        self.replicas = 2

    def ports(self):
        return Ports(clock=self, signals=self, fleet=Pods(self), actuator=self, journal=self.recorder)

    def now_s(self):
        return 100.0

    def read(self, after_s, until_s, fleet):
        self.reads.append(after_s)
        return Signals((Scrape(98.0, received=1.0),), self.problems)

    def apply(self, actions):
        for action in actions:
            if isinstance(action, Scale):
                self.replicas = action.replicas
        return tuple(Outcome(action, done=True) for action in actions)


class Pods:
    def __init__(self, world):
        self.world = world

    def read(self):
        if self.world.replicas is None:
            return Missing(Cause.ABSENT, "gone")
        return Fleet(self.world.replicas, (Pod("p", Phase.SERVING, 0.0, 0.0),))


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return Metrics(registry)


class Notes(list):
    """A witness."""

    def note(self, other):
        self.append(other)


def runner(
    world,
    metrics,
    policy,
    ready=lambda: True,
    paused=lambda: False,
    monotonic=lambda: 0.0,
    continuity=None,
    witness=None,
):
    target = Target("voice/tts", policy, Rails(1, 10))
    return Runner(
        target,
        world.ports,
        metrics,
        ready=ready,
        paused=paused,
        continuity=continuity,
        witness=witness,
        monotonic=monotonic,
    )


def test_before_it_is_known_what_was_kept_nothing_is_read_and_nothing_decided(metrics):
    world, policy = World(metrics), Wish()
    runner(world, metrics, policy, ready=lambda: False).run()
    assert (world.reads, policy.memories) == ([], [])


def test_memory_goes_from_tick_to_tick(metrics):
    world, policy = World(metrics), Wish()
    ours = runner(world, metrics, policy)
    ours.run()
    ours.run()
    assert policy.memories == [0, 1]
    assert world.reads == [40.0, 98.0]


def test_an_error_ends_a_tick_and_not_the_target(metrics, registry):
    world, policy = World(metrics), Wish(None)
    ours = runner(world, metrics, policy)
    with capture_logs() as logs:
        ours.run()
    assert [(line["event"], line["target"], line["log_level"]) for line in logs] == [
        ("tick failed", "voice/tts", "error")
    ]
    assert registry.get_sample_value("speech_autoscaler_tick_failures_total", {"target": "voice/tts"}) == 1
    policy.wish = 3
    ours.run()
    assert world.replicas == 3


def test_how_long_ago_the_last_tick_ended(metrics):
    now = [10.0]
    ours = runner(World(metrics), metrics, Wish(), monotonic=lambda: now[0])
    now[0] = 25.0
    assert ours.behind_s() == 15.0
    ours.run()
    assert ours.behind_s() == 0.0


def test_for_how_long_ticks_have_ended_in_nothing_but_errors(metrics):
    now, policy = [10.0], Wish(None)
    ours = runner(World(metrics), metrics, policy, monotonic=lambda: now[0])
    assert (ours.failed, ours.failing_s()) == ("", 0.0)
    for now[0] in (15.0, 20.0):
        with capture_logs():
            ours.run()
    assert (ours.failed, ours.failing_s(), ours.behind_s()) == ("RuntimeError", 10.0, 0.0)
    policy.wish = 3
    ours.run()
    assert (ours.failed, ours.failing_s()) == ("", 0.0)


def test_a_line_is_said_for_a_change_and_not_for_every_tick(metrics):
    world, policy = World(metrics), Wish()
    ours = runner(world, metrics, policy)
    with capture_logs() as logs:
        for policy.wish in (2, 2, 3, 3):
            ours.run()
        world.replicas = None
        ours.run()
        ours.run()
    assert [line["event"] for line in logs] == [
        "2 serving, ruled by wish: told so",
        "3 serving, ruled by wish: told so",
        "nothing decided: absent: gone",
    ]
    assert [line["written"] for line in logs] == [[], ["scale: done"], []]


@pytest.mark.parametrize(
    ("metric", "labels", "value"),
    [
        ("desired_replicas", {"kind": "serving"}, 3),
        ("replicas", {"state": "serving"}, 1),
        ("decisions_total", {"ruled_by": "wish"}, 2),
        ("writes_total", {"kind": "scale", "result": "done"}, 1),
        ("signal_problems_total", {"cause": "stale"}, 2),
        ("data_age_seconds", {}, 2.0),
        ("insight", {"figure": "price"}, 1.5),
    ],
)
def test_metrics_of_two_ticks(metrics, registry, metric, labels, value):
    world = World(metrics, (Problem("received", Missing(Cause.STALE, "old")),))
    ours = runner(world, metrics, Wish(3))
    ours.run()
    ours.run()
    name = f"speech_autoscaler_{metric}"
    assert registry.get_sample_value(name, {"target": "voice/tts"} | labels) == value


class Lasts:
    """A continuity that keeps a count."""

    def __init__(self, kept=None, left=None, seen_until_s=None):
        self.kept, self.tended, self.recalled = kept, [], None
        self.left, self.seen_until_s = left, seen_until_s

    def begin(self, at_s):
        self.recalled = None if self.kept is None else b"%d" % self.kept
        return self.kept

    def tend(self, memory, at_s):
        self.tended.append(memory)

    def keep(self, memory, at_s):
        self.kept = memory
        return b"%d" % memory


def test_a_target_goes_on_with_what_was_kept_and_keeps_it_at_the_end(metrics):
    world, policy, lasts = World(metrics), Wish(), Lasts(kept=41)
    ours = runner(world, metrics, policy, continuity=lasts)
    ours.run()
    ours.run()
    left = ours.close(1.0)
    assert (left.kept, left.state.memory) == (b"43", 43)
    assert (policy.memories, lasts.tended, lasts.kept) == ([41, 42], [42, 43], 43)
    ours.run()
    assert policy.memories == [41, 42]


def test_the_beginning_is_noted_with_what_it_goes_on_with(metrics):
    notes = Notes()
    ours = runner(World(metrics), metrics, Wish(), continuity=Lasts(41), witness=notes)
    ours.run()
    ours.run()
    assert notes == [Began("voice/tts", 100.0, "41")]


def test_a_memory_of_this_process_is_told_only_what_it_has_not_seen(metrics):
    world, notes = World(metrics), Notes()
    ours = runner(world, metrics, Wish(), continuity=Lasts(41, seen_until_s=93.0), witness=notes)
    ours.run()
    assert world.reads == [93.0]
    assert notes == [Began("voice/tts", 100.0, "41", carried=True)]


def test_what_no_tick_went_on_with_is_left_to_the_next_one(metrics):
    left = Left(b"41", None, None)
    assert runner(World(metrics), metrics, Wish(), continuity=Lasts(left=left)).close(1.0) is left


def test_a_tick_that_outlasts_its_policy_is_told_so_and_none_follows(metrics):
    """Prometheus hangs while a file changes: what the old policy decides then is not written any more."""
    world, asked, answered = World(metrics), threading.Event(), threading.Event()
    ended = []

    def hangs(*_):
        asked.set()
        assert answered.wait(10)
        return Signals((Scrape(98.0, received=1.0),))

    world.read = hangs
    world.apply = lambda _: ended.append(old.overtaken()) or ()
    policy = Wish()
    old = runner(world, metrics, policy)
    tick = threading.Thread(target=old.run)
    tick.start()
    asked.wait(10)
    assert old.close(0.01) is None
    answered.set()
    tick.join(10)
    old.run()
    assert (ended, policy.memories) == ([GIVEN_UP], [0])


def test_a_tick_under_way_is_told_that_somebody_has_paused_its_target(metrics):
    """`autoscaler release` lets all pods serve: a tick that Prometheus held up would set some aside again."""
    world, pauses, told = World(metrics), set(), []
    ours = runner(world, metrics, Wish(3), paused=lambda: bool(pauses))
    world.apply = lambda actions: told.append((len(actions), ours.overtaken())) or ()
    ours.run()
    world.read = lambda *_: pauses.add("now") or Signals((Scrape(98.0, received=1.0),))
    ours.run()
    assert told == [(1, None), (1, PAUSED)]


def test_a_policy_that_keeps_nothing_begins_with_nothing(metrics):
    notes = Notes()
    runner(World(metrics), metrics, Wish(), witness=notes).run()
    assert notes == [Began("voice/tts", 100.0, None)]


def test_the_age_of_data_grows_while_nothing_is_scraped(metrics, registry):
    scrape, fleet = Scrape(98.0, received=1.0), Fleet(2, ())
    for at_s, scrapes in ((100.0, (scrape,)), (160.0, ())):
        seen = Observation(at_s, Signals(scrapes), fleet)
        metrics.count(Tick("voice/tts", seen, None, ()))
    assert registry.get_sample_value("speech_autoscaler_data_age_seconds", {"target": "voice/tts"}) == 62.0


def test_of_a_target_that_is_no_longer_sized_nothing_is_shown(registry):
    """Its last figures would stand on /metrics for as long as the process lives, and alerts on them."""
    metrics = Metrics(registry)
    world = World(metrics, problems=(Problem("received", Missing(Cause.STALE, "old")),))
    for name in ("voice/tts", "voice/asr"):
        runner = Runner(
            Target(name, Wish(3), Rails(1, 10)), world.ports, metrics, ready=lambda: True, paused=lambda: False
        )
        runner.run()
    world.recorder.forget("voice/tts")
    shown = {sample.labels.get("target") for family in registry.collect() for sample in family.samples}
    assert shown == {None, "voice/asr"}
    world.recorder.forget("voice/tts")


@pytest.mark.parametrize(
    ("starts_s", "skipped"),
    [
        pytest.param([0, 5, 10, 15], 0, id="none"),
        pytest.param([0, 8, 10, 15.5], 0, id="late"),
        pytest.param([0, 4.5, 9.5, 14.5], 0, id="the first was late"),
        pytest.param([0, 5, 15, 20], 1, id="one"),
        pytest.param([0, 8, 40], 6, id="many, after one that ran on"),
        pytest.param([3600], 0, id="before the first there is none"),
    ],
)
def test_ticks_that_were_due_and_did_not_take_place_are_counted(metrics, registry, starts_s, skipped):
    now = [0.0]
    ours = runner(World(metrics), metrics, Wish(), monotonic=lambda: now[0])
    for start_s in starts_s:
        now[0] = start_s
        ours.run()
    assert (registry.get_sample_value("speech_autoscaler_ticks_skipped_total", {"target": "voice/tts"}) or 0) == skipped
