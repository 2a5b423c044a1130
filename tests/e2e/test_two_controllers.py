"""Two controllers, one of them killed or stopped at the worst moment; the audit log is the witness."""

import signal
import threading
import time
from datetime import datetime

import pytest
from rig.controller import QUICK_LEASE
from rig.installed import hand_overs, scale_writes, stale_writes
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
    taken_s = next(seconds(at) for at, _ in hand_overs(installed) if seconds(at) > killed_s)
    assert LEASE_S - RETRY_S * 1.2 < taken_s - killed_s < TAKEOVER_S + SLACK_S
    assert stale_writes(installed) == []


class Held:
    """Keeps scale writes back until they are let go."""

    def __init__(self):
        self.there, self.let_go = threading.Event(), threading.Event()

    def __call__(self, request):
        return Treatment(wait=self._wait) if request.scale else WELL

    def _wait(self):
        self.there.set()
        self.let_go.wait(60)


def test_a_leader_that_is_stopped_with_a_write_under_way_changes_nothing_when_it_wakes(
    cluster, installed, pods, tts, policies
):
    first, second = installed.pods()
    held = Held()
    with (
        proxy(cluster.plane) as between,
        installed.leading(first, policies, url=between.url) as old,
        installed.controller(second, policies) as new,
    ):
        wait_for("the other to stand by", lambda: new.get("/readyz")[0] == 200)
        between.treat = held
        carry(pods, tts, BUSY)
        wait_for("the old leader's write to be under way", held.there.is_set)
        old.process.popen.send_signal(signal.SIGSTOP)
        wait_for("the other to lead, and to write", lambda: tts.read().spec.replicas == 3)
        assert new.leading()
        held.let_go.set()
        wait_for("the late write to be answered", lambda: first in {each.pod for each in scale_writes(installed)})
        old.process.popen.send_signal(signal.SIGCONT)
        wait_for("the old one to know", lambda: not old.leading())
        assert new.leading()
    assert {each.pod for each in scale_writes(installed) if each.status == 200} == {second}
    assert [holder for _, holder in hand_overs(installed)][:2] == [first, second]
    assert stale_writes(installed) == []


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
    assert [holder for _, holder in hand_overs(installed)][:2] == [first, second]
    assert {each.pod for each in scale_writes(installed) if each.status == 200} == {second}
    assert stale_writes(installed) == []
