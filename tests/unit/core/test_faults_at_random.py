"""The loop, the rails and the planner among random faults: what holds after every tick, and that all ends well.

A cluster is played with the rules that matter here: writes are conditional on versions, a ReplicaSet takes away pods
that are not ready before others and then the cheapest, everything may change between reading and writing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from autoscaler.journal.log import encode
from autoscaler.loop import Ports, Target, begin, tick
from autoscaler.model import (
    Cause,
    Drain,
    Fleet,
    Missing,
    Mode,
    Outcome,
    Phase,
    Pod,
    Problem,
    Proposal,
    Rails,
    Relabel,
    Scale,
    Scrape,
    Signals,
    Step,
)

LOW, HIGH = 1, 8
BLIND = Problem("received", Missing(Cause.STALE, "75 s old"))
GONE = Missing(Cause.UNREACHABLE, "API server silent")
PHASES = {"serving": Phase.SERVING, "standby": Phase.STANDBY, "draining": Phase.DRAINING}
COSTS = {Phase.SERVING: 100, Phase.STANDBY: 0, Phase.DRAINING: -100, Phase.STARTING: -1000}


class Wish:
    """A policy that wishes what the test says."""

    tick_s, lookback_s = 5.0, 60.0

    def __init__(self):
        self.wish = (2, 0)

    def start(self):
        return 0

    def propose(self, memory, seen):
        return memory + 1, Proposal(*self.wish, (Step("wish", *self.wish, "told so"),))


class Cluster:
    """One Deployment and its pods, and all ports of the loop."""

    def __init__(self):
        self.now_s, self.numbers = 1000.0, itertools.count(1)
        self.uid, self.version, self.replicas, self.pods = "d0", 0, 2, {}
        self.blind = self.deaf = self.refusing = False
        self.meanwhile = None
        self.ticks, self.writes = [], []
        self.reconcile()
        for name in self.pods:
            self.become(name, Phase.SERVING)

    def fleet(self):
        return Fleet(self.replicas, tuple(self.pods.values()), uid=self.uid, version=str(self.version), revision="r")

    def touch(self, name=None, **changed):
        self.version += 1
        if name is not None:
            self.pods[name] = replace(self.pods[name], version=str(self.version), **changed)

    def become(self, name, phase):
        self.touch(name, phase=phase, loaded_at_s=None if phase is Phase.STARTING else self.now_s)

    def scale(self, replicas):
        self.touch()
        self.replicas = replicas

    def reconcile(self):
        """What the ReplicaSet controller does."""
        for _ in range(self.replicas - len(self.pods)):
            name = f"p{next(self.numbers)}"
            self.pods[name] = Pod(name, Phase.STARTING, self.now_s, uid=f"u-{name}")
            self.touch(name)
        surplus = max(0, len(self.pods) - self.replicas)
        for pod in sorted(self.pods.values(), key=lambda pod: COSTS[pod.phase])[:surplus]:
            del self.pods[pod.name]
            self.version += 1

    def apply(self, actions):
        if self.meanwhile:
            self.meanwhile, change = None, self.meanwhile
            change()
        self.writes = list(actions)
        return tuple(self._write(action) for action in actions)

    def _write(self, action):
        if self.refusing:
            return Outcome(action, done=False, detail="503")
        if isinstance(action, Scale):
            if (action.uid, action.version) != (self.uid, str(self.version)) and action.was != self.replicas:
                return Outcome(action, done=False, detail="409")
            self.scale(action.replicas)
            return Outcome(action, done=True)
        pod = self.pods.get(action.pod)
        if pod is None or (pod.uid, pod.version) != (action.uid, action.version):
            return Outcome(action, done=False, detail="409")
        phase = PHASES[action.role] if pod.phase is not Phase.STARTING else pod.phase
        self.touch(action.pod, phase=phase, gated=action.role == "standby", role_since_s=self.now_s)
        return Outcome(action, done=True)


class Read:
    """The two sources, which share a name for what they do."""

    def __init__(self, answer):
        self.read = answer


class Faults(RuleBasedStateMachine):
    """Each rule is a fault, a change by somebody else, or the passing of time."""

    @initialize(drain=st.sampled_from(Drain), mode=st.sampled_from([Mode.ASSIST, Mode.FULL]))
    def begin(self, drain, mode):
        self.cluster, self.policy = Cluster(), Wish()
        self.target = Target("voice/tts", self.policy, Rails(LOW, HIGH, mode), drain)
        self.state, self.paused, self.before = begin(self.target, 1000.0), False, None

    def ports(self, fleet, signals, actuator, journal):
        return Ports(clock=Clock(self.cluster.now_s), signals=signals, fleet=fleet, actuator=actuator, journal=journal)

    @rule(rounds=st.integers(1, 6), seconds=st.sampled_from([1.0, 5.0, 70.0]), load=st.booleans())
    def time_passes(self, rounds, seconds, load):
        for _ in range(rounds):
            self.tick()
            self.what_was_written_was_allowed()
            self.cluster.reconcile()
            if load:
                self.load_all()
            self.cluster.now_s += seconds

    def load_all(self):
        for name in list(self.cluster.pods):
            self._hit(name, "ready")

    def tick(self):
        cluster = self.cluster
        cluster.writes = []
        self.before = None if cluster.deaf else cluster.fleet()
        fleet = Read(lambda: GONE if cluster.deaf else cluster.fleet())
        signals = Read(lambda *_: Signals((Scrape(cluster.now_s, 1.0),), (BLIND,) if cluster.blind else ()))
        self.state, was = self._run(fleet, signals, cluster, cluster.ticks), self.state
        again = []
        recorded = cluster.ticks[-1]
        if recorded.decision is not None:
            told = Told(recorded.outcomes)
            self._run(Read(lambda: recorded.seen.fleet), Read(lambda *_: recorded.seen.signals), told, again, was)
            assert encode(again[0]) == encode(recorded), "the same inputs give the same bytes"

    def _run(self, fleet, signals, actuator, ticks, state=None):
        ports = self.ports(fleet, signals, actuator, Append(ticks))
        return tick(self.target, ports, self.state if state is None else state, paused=self.paused)

    @rule(serving=st.integers(0, 12), standby=st.integers(0, 4))
    def the_load_changes(self, serving, standby):
        self.policy.wish = (serving, standby)

    @precondition(lambda self: self.cluster.pods)
    @rule(data=st.data(), fault=st.sampled_from(["ready", "unready", "stuck", "deleted", "touched"]))
    def something_happens_to_a_pod(self, data, fault):
        self._hit(data.draw(st.sampled_from(sorted(self.cluster.pods))), fault)

    def _hit(self, name, fault):
        cluster, pod = self.cluster, self.cluster.pods[name]
        if fault == "deleted":
            del cluster.pods[name]
            cluster.version += 1
        elif fault == "ready" and pod.phase is Phase.STARTING:
            cluster.become(name, Phase.STANDBY if pod.gated else Phase.SERVING)
            cluster.touch(name, stuck=False)
        elif fault == "unready" and pod.phase is not Phase.DRAINING:
            cluster.become(name, Phase.STARTING)
        elif fault == "stuck" and pod.phase is Phase.STARTING:
            cluster.touch(name, stuck=True)
        else:
            cluster.touch(name)

    @rule(replicas=st.integers(0, 14))
    def somebody_scales(self, replicas):
        self.cluster.scale(replicas)

    @rule(replicas=st.integers(0, 14))
    def somebody_scales_between_reading_and_writing(self, replicas):
        self.cluster.meanwhile = lambda: self.cluster.scale(replicas)

    @rule()
    def the_deployment_is_made_anew(self):
        cluster = self.cluster
        cluster.uid, cluster.replicas = f"d{next(cluster.numbers)}", 2
        cluster.pods.clear()
        cluster.touch()

    @rule(what=st.sampled_from(["blind", "deaf", "refusing"]), now=st.booleans())
    def a_server_fails_or_recovers(self, what, now):
        setattr(self.cluster, what, now)

    @rule(now=st.booleans())
    def somebody_pauses_or_resumes(self, now):
        self.paused = now

    def what_was_written_was_allowed(self):
        if self.before is None:
            assert self.cluster.writes == []
            return
        before, ended = self.before, self.cluster.ticks[-1]
        scales = [action for action in self.cluster.writes if isinstance(action, Scale)]
        relabelled = Counter(action.pod for action in self.cluster.writes if isinstance(action, Relabel))
        assert len(scales) <= 1
        assert set(relabelled) <= {pod.name for pod in before.pods}
        assert max(relabelled.values(), default=0) <= 1
        assert ended.decision is None or all(step.reason for step in ended.decision.steps)
        for scale in scales:
            towards = HIGH < scale.replicas < scale.was
            assert LOW <= scale.replicas <= HIGH or towards, "within the bounds, or on the way there"
        if ended.decision and (ended.seen.signals.problems or self.target.rails.mode is Mode.ASSIST):
            serving = {pod.name for pod in before.of(Phase.SERVING)}
            assert all(scale.replicas >= scale.was for scale in scales)
            assert not serving & set(relabelled), "nothing that serves is taken out of service blindly"
        if ended.decision and ended.seen.paused:
            assert self.cluster.writes == []

    def teardown(self):
        """Once all is well again, the fleet becomes what is wished, and then nothing is written any more."""
        if not hasattr(self, "cluster"):
            return
        cluster = self.cluster
        cluster.blind = cluster.deaf = cluster.refusing = self.paused = False
        cluster.meanwhile = None
        self.target = replace(self.target, rails=Rails(LOW, HIGH))
        for _ in range(12):
            self.tick()
            cluster.reconcile()
            self.load_all()
            cluster.now_s += 61.0
        self.tick()
        decision, fleet = cluster.ticks[-1].decision, cluster.fleet()
        assert cluster.writes == []
        assert (fleet.replicas, fleet.count(Phase.SERVING), fleet.count(Phase.STANDBY)) == (
            decision.replicas,
            decision.serving,
            decision.standby,
        )


class Clock:
    def __init__(self, now_s):
        self.now_s = lambda: now_s


class Append:
    def __init__(self, ticks):
        self.append = ticks.append


class Told:
    """An actuator of which it is known what came of everything."""

    def __init__(self, outcomes):
        self.outcomes = outcomes

    def apply(self, actions):
        assert actions == tuple(outcome.action for outcome in self.outcomes)
        return self.outcomes


TestFaults = Faults.TestCase
TestFaults.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
