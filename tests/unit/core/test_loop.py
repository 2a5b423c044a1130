"""The loop over ports that are played here: what it reads, decides, writes and records."""

from dataclasses import dataclass, field

from autoscaler.loop import Ports, Target, begin, tick
from autoscaler.model import Cause, Fleet, Missing, Outcome, Phase, Pod, Proposal, Rails, Scale, Scrape, Signals, Step


@dataclass(frozen=True)
class CountingPolicy:
    """Wants one pod more at each tick; remembers how often it was asked."""

    tick_s: float = 5.0
    lookback_s: float = 60.0

    def start(self):
        return 0

    def propose(self, memory, seen):
        wish = seen.fleet.replicas + 1
        return memory + 1, Proposal(wish, 0, (Step("count", wish, 0, f"asked {memory} times before"),))


ONE_POD = Fleet(1, (Pod("p0", Phase.SERVING, 0.0, 0.0),))


@dataclass
class World:
    """All ports in one: scrapes every 5 s, a fleet that obeys."""

    time_s: float = 100.0
    fleet: Fleet | Missing = ONE_POD
    reads: list = field(default_factory=list)
    ticks: list = field(default_factory=list)

    def ports(self) -> Ports:
        return Ports(clock=self, signals=Source(self), fleet=self, actuator=self, journal=self)

    def now_s(self):
        return self.time_s

    def read(self):
        return self.fleet

    def apply(self, actions):
        for action in actions:
            if isinstance(action, Scale):
                self.fleet = Fleet(action.replicas, self.fleet.pods)
        return tuple(Outcome(action, done=True) for action in actions)

    def append(self, tick):
        self.ticks.append(tick)


@dataclass
class Source:
    world: World

    def read(self, after_s, until_s, fleet):
        self.world.reads.append((after_s, until_s))
        times = [t for t in range(0, 1000, 5) if after_s < t <= until_s]
        return Signals(tuple(Scrape(float(t), received=float(t)) for t in times))


TARGET = Target("tts", CountingPolicy(), Rails(1, 3))


def test_each_tick_sees_the_scrapes_since_the_last_one_and_the_first_looks_back():
    world = World()
    state = begin(TARGET, world.now_s())
    for world.time_s in (101.0, 107.0):
        state = tick(TARGET, world.ports(), state)
    assert world.reads == [(40.0, 101.0), (100.0, 107.0)]


def test_decisions_are_written_recorded_and_bounded():
    world = World()
    state = begin(TARGET, world.now_s())
    for _ in range(4):
        state = tick(TARGET, world.ports(), state)
    assert [t.decision.serving for t in world.ticks] == [2, 3, 3, 3]
    assert [len(t.outcomes) for t in world.ticks] == [1, 1, 0, 0]
    assert world.ticks[-1].decision.ruled_by == "bounds"
    assert state.memory == 4


def test_an_unreadable_fleet_is_recorded_and_leaves_the_state_as_it_was():
    gone = Missing(Cause.ABSENT, "deployment voice/tts not found")
    world = World(fleet=gone)
    state = begin(TARGET, world.now_s())
    assert tick(TARGET, world.ports(), state) == state
    assert [(t.seen, t.decision, t.outcomes) for t in world.ticks] == [(gone, None, ())]


def test_a_paused_target_is_decided_and_recorded_and_nothing_is_written():
    """Not even the promotion that a start would otherwise be spared by."""
    pods = (Pod("p0", Phase.SERVING, 0.0, 0.0), Pod("p1", Phase.STARTING, 0.0), Pod("p2", Phase.STANDBY, 0.0, 0.0))
    world = World(fleet=Fleet(3, pods))
    tick(TARGET, world.ports(), begin(TARGET, world.now_s()), paused=True)
    assert [(t.decision.ruled_by, t.outcomes) for t in world.ticks] == [("pause", ())]


def test_the_same_record_gives_the_same_decisions():
    first, second = World(), World()
    for world in (first, second):
        state = begin(TARGET, world.now_s())
        for world.time_s in range(100, 160, 5):
            state = tick(TARGET, world.ports(), state)
    assert first.ticks == second.ticks
