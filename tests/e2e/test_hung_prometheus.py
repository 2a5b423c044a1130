"""A Prometheus that takes connections and never answers, beside one that is well."""

import threading

import pytest
from rig.installed import hand_overs
from rig.processes import wait_for
from rig.scene import BUSY, IDLE, carry, policy
from rig.web import Reply, website

from autoscaler.service.process import WORKERS

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]


@pytest.fixture
def hung():
    """Its address."""
    over = threading.Event()

    def never(_):
        over.wait()
        return Reply()

    with website(never) as site:
        yield site.url
        over.set()


def test_a_hung_prometheus_delays_neither_other_targets_nor_the_lease(installed, pods, prometheus, hung):
    """More targets wait for it than there are threads for ticks."""
    waiting = [f"waits-{number}" for number in range(WORKERS + 2)]
    for name in waiting:
        installed.cluster.deploy(installed.namespace, name, 1)
    well = installed.cluster.deploy(installed.namespace, "well", 2)
    carry(pods, well, IDLE)
    texts = {name: policy(name, hung) for name in waiting} | {"well": policy("well", prometheus.url)}
    with installed.leading(installed.pods()[0], installed.policies(**texts), "--lease", "4/2/0.5") as ours:

        def counted(what, name):
            return ours.metric(f"speech_autoscaler_{what}_total", target=f"{installed.namespace}/{name}")

        wait_for("all to be decided on", lambda: all(counted("decisions", name) for name in texts))
        begun, skipped = counted("decisions", "well"), counted("ticks_skipped", "well")
        wait_for("many decisions more", lambda: counted("decisions", "well") >= begun + 15)
        assert counted("ticks_skipped", "well") - skipped <= 5
        carry(pods, well, BUSY)
        wait_for("growth", lambda: well.read().spec.replicas > 2)
        assert len(hand_overs(installed)) == 1
        assert ours.leading()
