"""A policy file that is edited in the middle of a push: the target acts on the next scrape as if nobody had.

The process's own classes run over the simulated service; two requests a second become 35, with nothing known of
before. What the edit changes holds from the next tick on; what was seen of the load, the service and the starts stays.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from simulation.cases import TTS

from autoscaler.journal.beginnings import Began
from autoscaler.journal.log import JsonlJournal, records
from autoscaler.loop import Target
from autoscaler.model import History, Rails, Tick
from autoscaler.policies.predictive import Backlog, Bounds, PredictivePolicy, PriceRule, Settings
from autoscaler.policies.predictive.standby import Reserve
from autoscaler.service.continuity import Continuity
from autoscaler.service.recorder import Metrics
from autoscaler.service.rerun import rerun
from autoscaler.service.runner import Runner
from simulations.draw import draw
from simulations.story import JUMP_S, SCRAPE_S, push
from simulations.world import Conditions, World

NAME = "voice/tts"
SETTINGS = Settings(TTS, Bounds(1, 20), PriceRule(0.01, 1.3, 0.22, 20.0, 0.7), Backlog(3.0))
GATED = replace(SETTINGS, tick_s=1.0, reserve=Reserve(6, 10))
END_S = JUMP_S + 60.0
ENOUGH = 8


class Process:
    """The controller of one target, whose policy is edited while it runs; a store that nothing is read back from."""

    def __init__(self, path, past=lambda _: None):
        self.world = World("push", draw(push(1), TTS, 1), TTS, 1, Conditions(scrape_s=SCRAPE_S))
        self.log, self.at_s, self.past = JsonlJournal(path), 3.0, past
        self.ports = self.world.ports(self.log)
        self.metrics, self.runner = Metrics(CollectorRegistry()), None
        self.world.advance(self.at_s)

    def kept(self, target):
        return None

    def keep(self, target, text):
        pass

    def follow(self, settings, until_s, *, carry=True):
        """Under a policy, as the process begins one, up to a time."""
        target = Target(NAME, PredictivePolicy(settings), Rails(1, 20))
        left = self.runner.close(1.0) if self.runner else None
        if left and not carry:
            left = left.kept_alone
        lasting = Continuity(
            NAME, target.policy, self, self.past, trainer=self.ports.trainer, metrics=self.metrics, left=left
        )
        self.runner = Runner(
            target,
            lambda: self.ports,
            self.metrics,
            ready=lambda: True,
            paused=lambda: False,
            continuity=lasting,
            witness=self.log,
        )
        while self.at_s <= until_s:
            self.runner.run()
            self.at_s += settings.tick_s
            self.world.advance(self.at_s)
        return self


def wishes(path):
    """Pods in all, wanted at each tick of a log, by seconds since the jump."""
    ticks = [record for record in records(path) if isinstance(record, Tick)]
    first_s = ticks[0].decision.at_s - 3.0
    return {
        round(each.decision.at_s - first_s - JUMP_S, 3): each.decision.serving + each.decision.standby for each in ticks
    }


def enough_at_s(path):
    """When as many are wanted as carry the push, in seconds since the jump."""
    return next((at_s for at_s, pods in wishes(path).items() if at_s > 0 and pods >= ENOUGH), np.inf)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    path = tmp_path_factory.mktemp("untouched") / "log.jsonl"
    Process(path).follow(SETTINGS, END_S).log.close()
    return path


@pytest.mark.parametrize("carry", [True, False], ids=["counted as before", "another way of counting"])
@pytest.mark.parametrize("edited_s", [JUMP_S - 20.0, JUMP_S - 2.0, JUMP_S + 2.0, JUMP_S + 6.0])
def test_an_edit_about_the_jump_costs_no_time(tmp_path, untouched, edited_s, carry):
    """It began five minutes before, without a past: a new beginning would leave the pods as they are for a minute."""
    path, edited = tmp_path / "log.jsonl", replace(SETTINGS, bounds=Bounds(1, 19))
    run = Process(path).follow(SETTINGS, edited_s)
    run.follow(edited, END_S, carry=carry).log.close()
    assert enough_at_s(untouched) < 25.0
    assert enough_at_s(path) <= enough_at_s(untouched) + SETTINGS.tick_s


def test_an_edit_that_says_the_same_changes_no_wish_by_more_than_a_pod(tmp_path, untouched):
    """Every half a minute, jump included: only what pods have cost in vain is counted anew."""
    path, run = tmp_path / "log.jsonl", Process(tmp_path / "log.jsonl")
    for until_s in np.arange(JUMP_S - 90.0, END_S, 30.0):
        run.follow(SETTINGS, until_s)
    run.follow(SETTINGS, END_S).log.close()
    ours, theirs = wishes(path), wishes(untouched)
    assert list(ours) == list(theirs)
    assert max(abs(ours[at_s] - theirs[at_s]) for at_s in ours) <= 1


def test_what_an_edit_says_holds_from_the_next_tick_on(tmp_path):
    path = tmp_path / "log.jsonl"
    run = Process(path).follow(SETTINGS, JUMP_S - 60.0)
    run.follow(replace(SETTINGS, bounds=Bounds(5, 20)), JUMP_S - 30.0).log.close()
    wished = wishes(path)
    assert max(pods for at_s, pods in wished.items() if -80.0 < at_s < -60.0) < 5
    assert [pods for at_s, pods in wished.items() if at_s >= -60.0] == [5] * 6


def test_two_edits_between_two_ticks_lose_nothing(tmp_path, untouched):
    path = tmp_path / "log.jsonl"
    run = Process(path).follow(SETTINGS, JUMP_S + 2.0)
    run.follow(replace(SETTINGS, bounds=Bounds(1, 18)), 0.0)
    run.follow(replace(SETTINGS, bounds=Bounds(1, 19)), END_S).log.close()
    began = [record for record in records(path) if isinstance(record, Began)]
    assert [each.carried for each in began] == [False, True]
    assert enough_at_s(path) <= enough_at_s(untouched) + SETTINGS.tick_s


def test_gated_pods_are_promoted_at_once_after_an_edit(tmp_path):
    serving = []
    for edited_s in (None, JUMP_S + 1.0):
        path = tmp_path / f"{edited_s}.jsonl"
        run = Process(path).follow(GATED, edited_s or END_S)
        run.follow(replace(GATED, reserve=Reserve(5, 10)), END_S).log.close()
        ticks = [record for record in records(path) if isinstance(record, Tick)]
        at_s = next(each.decision.at_s for each in ticks if each.decision.serving >= ENOUGH)
        serving.append(at_s - ticks[0].decision.at_s)
    assert serving[1] <= serving[0] + GATED.tick_s


@pytest.mark.parametrize("carry", [True, False], ids=["counted as before", "another way of counting"])
def test_a_log_with_an_edit_in_it_runs_again_byte_for_byte(tmp_path, carry):
    """From the edit on, under the policy of then: what the ticks before knew of the service follows from what they saw.

    Of what was counted otherwise nothing goes on but what was kept.
    """
    path, edited = tmp_path / "log.jsonl", replace(SETTINGS, bounds=Bounds(3, 19), start_price_s=20.0)
    run = Process(path).follow(SETTINGS, 700.0)  # it learns by itself after ten minutes
    run.follow(edited, 800.0, carry=carry).log.close()
    target = Target(NAME, PredictivePolicy(edited), Rails(1, 20))
    found = list(rerun(records(path), {NAME: target}))
    began = [record for record in records(path) if isinstance(record, Began)]
    assert [each.carried for each in began] == [False, carry]
    after = [each for each in found if each.recorded.seen.at_s >= began[1].at_s]
    assert len(after) == 20
    assert [each.recorded.seen.at_s for each in after if not each.same] == []
    assert not all(each.same for each in found)


def test_a_log_that_holds_the_edit_but_not_what_was_before_is_not_run(tmp_path):
    path = tmp_path / "log.jsonl"
    Process(path).follow(SETTINGS, 60.0).follow(SETTINGS, 90.0).log.close()
    edit = [index for index, record in enumerate(records(path)) if isinstance(record, Began)][1]
    found = list(rerun(list(records(path))[edit:], {NAME: Target(NAME, PredictivePolicy(SETTINGS), Rails(1, 20))}))
    assert len(found) == 6
    assert all(each.now is None for each in found)


def test_a_model_goes_on_and_the_past_is_not_asked_for_again(tmp_path):
    asked = []

    def past(at_s):
        asked.append(at_s)
        return History(60.0, np.full(600, 120, dtype=np.int64), at_s // 60 * 60)

    path = tmp_path / "log.jsonl"
    run = Process(path, past).follow(SETTINGS, 60.0)
    model = run.runner.close(1.0).state.memory.model
    assert model is not None
    run.follow(SETTINGS, 120.0)
    assert run.runner.close(1.0).state.memory.model is model
    run.follow(SETTINGS, 180.0, carry=False).log.close()
    assert len(asked) == 2


def test_a_new_target_acts_once_a_minute_of_its_past_was_read(tmp_path):
    """It begins ten seconds before the jump. Prometheus has seen its calm for five minutes."""
    found = {}
    for minutes in (0, 5):
        path = tmp_path / f"{minutes}.jsonl"
        run = Process(path, lambda at_s, bins=minutes: calm(bins, at_s))
        run.at_s = JUMP_S - 10.0
        run.world.advance(run.at_s)
        run.follow(SETTINGS, END_S + 30.0).log.close()
        wanted = wishes(path)
        grown = next(at_s for (_, before), (at_s, pods) in pairwise(wanted.items()) if pods > before)
        found[minutes] = grown - min(wanted)
    assert found[5] <= 20.0
    assert found[0] >= 55.0


def calm(minutes, at_s):
    """Two requests a second, until the last whole minute."""
    return History(60.0, np.full(minutes, 120, dtype=np.int64), at_s // 60 * 60) if minutes else None
