"""Two controllers, one of them killed or stopped at the worst moment; the audit log is the witness."""

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pytest
from rig.cluster import Deployment
from rig.controller import QUICK_LEASE
from rig.installed import Installed, hand_overs, install, scale_writes, stale_writes
from rig.processes import wait_for
from rig.proxy import WELL, Treatment, delayed, proxy
from rig.scene import BUSY, carry, policy

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

LEASE_S, RENEW_S, RETRY_S = map(float, QUICK_LEASE.split("/"))
TICK_S = 1.0
TAKEOVER_S = LEASE_S + 2 * 1.2 * RETRY_S + TICK_S
SLACK_S = 3.0
"""For processes that share two cores with a control plane."""


@pytest.fixture
def tts(cluster, installed):
    return cluster.deploy(installed.namespace, "tts", 2)


@pytest.fixture
def policies(installed, prometheus):
    return installed.policies(tts=policy("tts", prometheus.url))


def seconds(stamp):
    return datetime.fromisoformat(stamp).timestamp()


def test_when_the_leader_is_killed_the_other_goes_on_within_the_promised_time(installed, pods, tts, policies):
    with installed.pair(policies) as (leader, follower):
        assert not follower.leading()
        wait_for("the follower to be ready too", lambda: follower.get("/readyz")[0] == 200)
        wait_for("it to learn as the leader does", lambda: follower.metric("speech_autoscaler_decisions_total") > 2)
        leader.process.kill()
        killed_s = time.time()
        carry(pods, tts, BUSY)
        wait_for("tts to grow", lambda: tts.read().spec.replicas == 3)
    taken_s = next(seconds(each.at) for each in hand_overs(installed) if seconds(each.at) > killed_s)
    assert LEASE_S - RETRY_S * 1.2 < taken_s - killed_s < TAKEOVER_S + SLACK_S
    assert stale_writes(installed) == []


class Held:
    """Keeps scale writes back until they are let go."""

    def __init__(self):
        self.there, self.let_go = set(), threading.Event()

    def __call__(self, request):
        return Treatment(wait=partial(self._wait, request.path)) if request.scale else WELL

    def _wait(self, path):
        self.there.add(path.split("/")[-2])
        self.let_go.wait(60)


@dataclass(frozen=True)
class Overtaken:
    """A leader was stopped with a write to each of two targets under way, and woke when they had arrived."""

    installed: Installed
    targets: tuple[Deployment, Deployment]
    old: str
    """Pods."""
    new: str

    def late(self):
        """What became of the late writes, by target."""
        found = [each for each in scale_writes(self.installed) if each.pod == self.old]
        assert {each.replicas for each in found} == {3}
        return sorted((each.target, each.status) for each in found)

    def sizes(self):
        return [each.read().spec.replicas for each in self.targets]


@contextmanager
def overtaken(installed, pods, prometheus):
    """The other pod leads by now. It was told a smaller maximum: until the late writes arrive there is none to make.

    So no other version of a target keeps them out: what can is the admission policy alone.
    """
    targets = tuple(installed.cluster.deploy(installed.namespace, name, 2) for name in ("asr", "tts"))
    folders = [installed.policies(**{each.name: policy(each.name, prometheus.url, most=3) for each in targets})]
    folders.append(installed.folder / "smaller")
    folders[1].mkdir()
    for each in targets:
        (folders[1] / f"{each.name}.yaml").write_text(policy(each.name, prometheus.url, most=2))
    first, second = installed.pods()
    held = Held()
    with (
        proxy(installed.cluster.plane) as between,
        installed.leading(first, folders[0], url=between.url) as old,
        installed.controller(second, folders[1]) as new,
    ):
        wait_for("the other to stand by", lambda: new.get("/readyz")[0] == 200)
        between.treat = held
        for each in targets:
            carry(pods, each, BUSY)
        wait_for("the old leader's writes to be under way", lambda: held.there == {"asr", "tts"})
        old.process.popen.send_signal(signal.SIGSTOP)
        wait_for("the other to lead", new.leading)
        decided = new.metric("speech_autoscaler_decisions_total")
        wait_for("it to decide", lambda: new.metric("speech_autoscaler_decisions_total") >= decided + 4)
        over = Overtaken(installed, targets, first, second)
        assert (over.sizes(), scale_writes(installed)) == ([2, 2], [])
        held.let_go.set()
        wait_for("the late writes to be answered", lambda: len(scale_writes(installed)) >= 2)
        old.process.popen.send_signal(signal.SIGCONT)
        wait_for("the old one to know", lambda: not old.leading())
        decided = old.metric("speech_autoscaler_decisions_total")
        wait_for("it to decide", lambda: old.metric("speech_autoscaler_decisions_total") >= decided + 4)
        assert new.leading()
        assert [each.holder for each in hand_overs(installed)][:2] == [first, second]
        yield over


def test_a_leader_that_is_stopped_with_a_write_under_way_changes_nothing_when_it_wakes(installed, pods, prometheus):
    with overtaken(installed, pods, prometheus) as over:
        assert over.late() == [("asr", 422), ("tts", 422)]
        assert over.sizes() == [2, 2]
        assert stale_writes(installed) == []


def test_without_the_admission_policies_the_write_under_way_to_each_target_lands_no_other_and_is_corrected(
    cluster, pods, prometheus, tmp_path
):
    bare = install(cluster, tmp_path, fenced=False)
    with overtaken(bare, pods, prometheus) as over:
        assert over.late() == [("asr", 200), ("tts", 200)]
        assert stale_writes(bare) == ["asr", "tts"]
        wait_for("the new leader to correct them", lambda: over.sizes() == [2, 2])
        assert stale_writes(bare) == ["asr", "tts"]
    assert {(each.target, each.replicas) for each in scale_writes(bare) if each.pod == over.new} == {
        ("asr", 2),
        ("tts", 2),
    }


def slow_leases(request):
    """The API server answers, but for the Lease later than it must be renewed."""
    return delayed(RENEW_S + 1.0) if "/leases" in request.path else WELL


def test_a_leader_whose_renewals_are_answered_too_late_steps_down_before_another_leads(
    cluster, installed, pods, tts, policies
):
    first, second = installed.pods()
    with (
        proxy(cluster.plane) as between,
        installed.leading(first, policies, url=between.url) as old,
        installed.controller(second, policies) as new,
    ):
        wait_for("the other to stand by", lambda: new.get("/readyz")[0] == 200)
        between.treat = slow_leases
        wait_for("the other to lead", new.leading)
        assert not old.leading()
        carry(pods, tts, BUSY)
        wait_for("tts to grow", lambda: tts.read().spec.replicas == 3)
        assert "Lease cannot be asked" in str(old.log())
        between.heal()
        wait_for("it to hear who leads", lambda: old.get("/readyz")[0] == 200)
        assert (old.leading(), new.leading()) == (False, True)
    assert [each.holder for each in hand_overs(installed)][:2] == [first, second]
    assert {each.pod for each in scale_writes(installed) if each.status == 200} == {second}
    assert stale_writes(installed) == []
