"""What a target's conditions say of time, on a real API server: since when each holds, of which Deployment it tells."""

from datetime import datetime

import pytest
from rig.processes import wait_for
from rig.scene import BUSY, IDLE, carry, policy, status_of

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]


STEADY = "AbleToScale", "PodsStart", "PolicyValid"


def dated(status):
    """Status of each condition, and since when."""
    return {each["type"]: (each["status"], each["lastTransitionTime"]) for each in status["conditions"]}


def test_a_condition_dates_from_when_its_status_changed_also_under_the_next_leader(installed, pods, prometheus):
    tts = installed.cluster.deploy(installed.namespace, "tts", 2)
    carry(pods, tts, IDLE)
    policies = installed.policies(tts=policy("tts", prometheus.url, most=3))

    def told(limited):
        """The status once it tells of the Deployment as it is now, and whether a bound holds it."""
        status = status_of(installed.cluster, installed.namespace, "tts")
        now = tts.read().metadata.generation
        if status.get("observedGeneration") == now and dated(status)["ScalingLimited"][0] == limited:
            return status
        return None

    one, two = installed.pods()
    with installed.leading(one, policies):
        within = wait_for("the first status", lambda: told("False"))
        carry(pods, tts, BUSY)
        tts.settle(3)
        carry(pods, tts, BUSY)
        at_bound = wait_for("the bound to hold", lambda: told("True"))
    with installed.leading(two, policies):
        after = wait_for("a status of its own", lambda: status if (status := told("True")) != at_bound else None)

    assert at_bound["observedGeneration"] == within["observedGeneration"] + 1, "it was scaled once"
    before, limited, later = map(dated, (within, at_bound, after))
    assert datetime.fromisoformat(before["ScalingLimited"][1]) < datetime.fromisoformat(limited["ScalingLimited"][1])
    assert [limited[name] for name in STEADY] == [before[name] for name in STEADY]
    assert after["at"] > at_bound["at"]
    assert [later[name] for name in (*STEADY, "ScalingLimited")] == [
        limited[name] for name in (*STEADY, "ScalingLimited")
    ]
