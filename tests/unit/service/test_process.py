"""What a process tells of its own health."""

import pytest
from kubernetes import client

from autoscaler.cluster.events import Announcer
from autoscaler.cluster.status import Statuses
from autoscaler.service.policies import PolicyFolder
from autoscaler.service.process import Controller

POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: tts}
spec:
  target: {kind: Deployment, name: tts}
  workload: {ref: tts}
  policy: {type: fixed, replicas: 2}
  signals: {prometheus: {url: "http://127.0.0.1:1"}}
"""


@pytest.fixture
def begin(tmp_path):
    """Starts a dry run without a cluster."""
    (tmp_path / "tts.yaml").write_text(POLICY)
    settings = client.Configuration()
    settings.host, settings.retries = "http://127.0.0.1:1", False
    made = []

    def started():
        folder, api = PolicyFolder(tmp_path, "voice"), client.ApiClient(settings)
        made.append(Controller(folder, api, "voice", candidacy=None, log=None, listen=("127.0.0.1", 0)))
        assert made[0].unhealthy() is None
        made[0].start()
        return made[0]

    yield started
    made[0].stop()


def test_all_is_well_after_the_start(begin):
    assert begin().unhealthy() is None


@pytest.mark.parametrize(("part", "name"), [(Announcer, "events"), (Statuses, "status")])
def test_a_thread_that_has_ended_makes_the_process_unhealthy(begin, monkeypatch, part, name):
    """Nothing that is raised ends one (each has its test); whatever else does, silence would hide it."""
    monkeypatch.setattr(part, "_run", lambda _: None)
    controller = begin()
    [thread] = [each for each in controller.standing if each.name == name]
    thread.join(5.0)
    assert controller.unhealthy() == f"the thread `{name}` has ended"
