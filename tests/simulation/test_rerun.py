"""A decision log run again gives the same bytes; under another policy it shows what would have been decided."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from rig.command import autoscaler
from rig.programs import REPOSITORY

from autoscaler.cli import exits
from autoscaler.journal.beginnings import Began, Learned
from autoscaler.journal.log import JsonlJournal, records
from autoscaler.loop import Ports, Target, begin, tick
from autoscaler.model import Fit, History, Observation, Tick
from autoscaler.policies.build import build
from autoscaler.service.rerun import rerun
from autoscaler.spec import find_policy
from simulations.draw import draw
from simulations.story import NO_PAST, SCRAPE_S, push
from simulations.world import Conditions, World

NAME = "voice-inference/emotivoice"
MINUTES = 13
LOADED = find_policy("holiday-push")
SERVED = LOADED.serving(None)
RULE, RAILS = build(LOADED, SERVED, NO_PAST)
TARGET = Target(NAME, RULE, RAILS)
PAST = History(60.0, np.full(300, 120, dtype=np.int64), 0.0, np.arange(300) != 7)


class Live:
    """A process of the controller over a simulated service: it begins, learns from a past, and ticks."""

    def __init__(self, path):
        self.world = World("push", draw(push(1), SERVED, 1), SERVED, 1, Conditions(scrape_s=SCRAPE_S))
        self.log, self.at_s = JsonlJournal(path), 3.0

    def lead(self, until_s, kept=None, past=None):
        """Tick up to a time; gives what is kept then."""
        self.world.advance(self.at_s)
        ports: Ports = self.world.ports(self.log)
        now_s = ports.clock.now_s()
        self.log.note(Began(NAME, now_s, kept and kept.decode()))
        state = begin(TARGET, now_s, RULE.recall(kept, now_s) if kept else None)
        if past is not None:
            ports.trainer.submit(Fit(lambda: self.learn(past, kept, now_s)))
        while self.at_s < until_s:
            self.world.advance(self.at_s)
            state = tick(TARGET, ports, state)
            self.at_s += 1.0
        return RULE.keep(state.memory, ports.clock.now_s())

    def learn(self, past, kept, at_s):
        fitted = RULE.warmed(past, kept, at_s)
        self.log.note(Learned.of(NAME, fitted.digest, at_s, past))
        return fitted


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """It begins with nothing and learns by itself after ten minutes; another process goes on with what it kept."""
    path = tmp_path_factory.mktemp("log") / "decisions.jsonl"
    live = Live(path)
    kept = live.lead(60.0 * MINUTES - 60.0)
    live.lead(60.0 * MINUTES, kept=kept, past=PAST)
    live.log.close()
    return path


def test_every_tick_of_it_is_the_same_byte_for_byte(log):
    found = list(rerun(records(log), {NAME: TARGET}))
    assert len(found) == sum(isinstance(record, Tick) for record in records(log))
    assert [each.recorded.seen.at_s for each in found if not each.same] == []


def test_the_log_has_models_of_both_kinds(log):
    """Learned while it ran, and from the past; otherwise the test above would say little."""
    adopted = [
        tick.seen.fitted.digest
        for tick in records(log)
        if isinstance(tick, Tick) and isinstance(tick.seen, Observation) and tick.seen.fitted
    ]
    learned = [record.digest for record in records(log) if isinstance(record, Learned)]
    assert len(learned) == 1
    assert len(adopted) == 2
    assert adopted[-1] == learned[0]


def test_another_policy_decides_otherwise_from_where_it_matters(log):
    smaller = Target(NAME, RULE, replace(RAILS, max_replicas=9))
    found = list(rerun(records(log), {NAME: smaller}))
    first = next(each for each in found if not each.same)
    assert first.recorded.decision.replicas > 9
    assert first.now.decision.replicas == 9


def test_ticks_before_a_beginning_or_without_a_policy_are_not_run(log):
    ticks = [record for record in records(log) if isinstance(record, Tick)]
    assert [each.now for each in rerun(ticks[:5], {NAME: TARGET})] == [None] * 5
    assert [each.now for each in rerun(records(log), {})] == [None] * len(ticks)


class TestCommand:
    """`autoscaler rerun`."""

    @pytest.fixture
    def policy(self, tmp_path):
        def write(**replicas):
            file = yaml.safe_load((REPOSITORY / "policies" / "holiday-push.yaml").read_text())
            file["spec"] |= {"drain": "sigterm"}  # as a simulated service drains
            file["spec"]["replicas"] |= replicas
            path = tmp_path / "push.yaml"
            path.write_text(yaml.safe_dump(file))
            return path

        return write

    def test_the_same_policy(self, log, policy):
        ended = autoscaler("rerun", log, "--policies", policy())
        assert ended.code == exits.OK
        assert ended.out == "777 ticks decided again: the same, byte for byte\n"

    def test_another_policy_is_a_finding_that_is_shown(self, log, policy):
        ended = autoscaler("rerun", log, "--policies", policy(max=10))
        assert ended.code == exits.FINDING
        recorded, now = ended.out.splitlines()[1:3]
        assert (recorded.split(":")[0].strip(), now.split(":")[0].strip()) == ("recorded", "now")
        assert "different" in ended.out.splitlines()[-1]

    def test_a_log_without_a_beginning_is_refused(self, tmp_path, log, policy):
        bare = tmp_path / "bare.jsonl"
        lines = log.read_text().splitlines(keepends=True)
        bare.write_text("".join(line for line in lines if not line.startswith('{"began"')))
        ended = autoscaler("rerun", bare, "--policies", policy())
        assert ended.code == exits.USAGE
        assert "no tick could be run again" in ended.err
