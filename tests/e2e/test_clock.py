"""Clocks that are set: the controller's own, and the one by which samples are dated."""

import pytest
from rig import programs
from rig.clock import SettableClock
from rig.exporter import exporter
from rig.installed import scale_writes
from rig.processes import wait_for
from rig.prometheus import prometheus_server
from rig.scene import IDLE, carry, events, policy, status_of

STEADY = 0.7
"""So busy, three pods want three."""
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
]


def let_it_decide(ours, ticks):
    before = ours.metric("speech_autoscaler_decisions_total")
    wait_for(f"{ticks} decisions more", lambda: ours.metric("speech_autoscaler_decisions_total") >= before + ticks)


def said(installed, reason):
    return events(installed.cluster, installed.namespace, reason, "tts")


def seen(installed):
    return "busy at" in str(status_of(installed.cluster, installed.namespace, "tts"))


@pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"])
@pytest.mark.parametrize("hours", [1, -1], ids=["set forwards", "set back"])
def test_the_controllers_clock_is_set_wrong_and_right_again(installed, pods, prometheus, tmp_path, hours):
    """While it is wrong no data is of now: nothing shrinks, and it is said; ticks go on, and the Lease stays.

    Once it is right the target is sized at once: its next tick is not an hour away.
    """
    try:
        clock = SettableClock.make(tmp_path)
    except programs.Absent as missing:
        pytest.skip(f"needs {missing}")
    tts = installed.cluster.deploy(installed.namespace, "tts", 2)
    carry(pods, tts, IDLE)
    policies = installed.policies(tts=policy("tts", prometheus.url))
    with installed.leading(installed.pods()[0], policies, environment=clock.environment) as ours:
        let_it_decide(ours, 2)
        clock.set(hours * 3600.0)
        carry(pods, tts, IDLE / 2)
        wait_for("it to be said", lambda: said(installed, "SignalsMissing"))
        let_it_decide(ours, 5)
        assert ours.get("/healthz")[0] == 200
        assert scale_writes(installed, "tts") == []
        clock.set(0.0)
        wait_for("the shrink: ceil(2 x 0.25 / 0.7)", lambda: tts.read().spec.replicas == 1)
        wait_for("it to be said", lambda: said(installed, "SignalsBack"))
        steps = [line["by_s"] for line in ours.log() if line["event"].startswith("the clock was set")]
        assert [round(step_s) for step_s in steps] == [hours * 3600, -hours * 3600]
        assert installed.lease().spec.lease_transitions == 0


@pytest.fixture
def dated(tmp_path):
    """Pods that date their samples themselves, and a Prometheus of their own."""
    with exporter() as dating:
        try:
            with prometheus_server("3", tmp_path, scrape_s=0.5, together=dating.address) as server:
                yield dating, server
        except programs.Absent as missing:
            pytest.skip(f"needs Prometheus 3: {missing}")


@pytest.mark.parametrize("shift_s", [6.0, -6.0], ids=["set forwards", "set back"])
def test_the_clock_that_dates_samples_is_set_wrong_and_right_again(installed, dated, shift_s):
    """Ahead, samples are of a time to come, and later ones too old to be taken; behind, they are too old at once.

    What came while nothing was taken can seem to have come at once, and would be more pods: three are the maximum here.
    """
    dating, server = dated
    tts = installed.cluster.deploy(installed.namespace, "tts", 3)
    carry(dating, tts, STEADY)
    policies = installed.policies(tts=policy("tts", server.url, most=3))
    with installed.leading(installed.pods()[0], policies) as ours:
        wait_for("the first decisions on data", lambda: seen(installed))
        dating.shift_s = shift_s
        wait_for("it to be said", lambda: said(installed, "SignalsMissing"))
        let_it_decide(ours, 2)
        dating.shift_s = 0.0
        wait_for("it to be said", lambda: said(installed, "SignalsBack"))
        let_it_decide(ours, 3)
        assert [each.replicas for each in scale_writes(installed, "tts") if each.replicas < 3] == []
        carry(dating, tts, IDLE / 4)
        wait_for("the shrink", lambda: tts.read().spec.replicas == 1)
