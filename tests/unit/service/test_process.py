"""What a process tells of its own health."""

import pytest
from kubernetes import client

from autoscaler.cluster.events import Announcer
from autoscaler.cluster.status import Statuses
from autoscaler.service.policies import PolicyFolder
from autoscaler.service.process import Controller
from autoscaler.service.runner import Runner

POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s}
spec:
  target: {kind: Deployment, name: %(name)s}
  workload: {ref: tts}
  policy: {type: fixed, replicas: 2}
  signals: {prometheus: {url: "http://127.0.0.1:1"}}
"""


FAILS = "its ticks end in errors of the controller's own (KeyError), its log says where"


@pytest.fixture
def begin(tmp_path):
    """Starts a dry run without a cluster."""
    for name in ("tts", "asr"):
        (tmp_path / f"{name}.yaml").write_text(POLICY % {"name": name})
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


@pytest.mark.parametrize(
    ("failing", "says"),
    [
        pytest.param({"voice/tts": 56.0}, None, id="one of two: a restart would cost the other"),
        pytest.param({"voice/tts": 56.0, "voice/asr": 54.0}, None, id="the other not for long"),
        pytest.param(
            {"voice/tts": 56.0, "voice/asr": 56.0},
            "; ".join(f"{name}: {FAILS}" for name in ("voice/asr", "voice/tts")),
            id="all",
        ),
    ],
)
def test_a_process_in_which_every_tick_fails_is_unhealthy(begin, monkeypatch, failing, says):
    """Ticks of a fixed size are due each 15 s: three of them and 10 s are too long."""
    monkeypatch.setattr(Runner, "failing_s", lambda ours: failing.get(ours.target.name, 0.0))
    monkeypatch.setattr(Runner, "_tick", lambda _: {}["an error of ours"])
    controller = begin()
    for each in controller._targets.runners:
        each.run()
    assert controller.unhealthy() == says
