"""Whether a Service brings a target its traffic: shown while the policy names one."""

import pytest
from prometheus_client import CollectorRegistry

from autoscaler.model import Cause, Missing, Tick
from autoscaler.service.lastword import LastWord
from autoscaler.service.recorder import Metrics
from autoscaler.service.traffic import Traffic

TICK = Tick("voice/tts", Missing(Cause.ABSENT, "gone"), None, ())


class Told(list):
    """Statuses and Events, as they were told."""

    def misdirected(self, _, problem):
        self.append(problem)

    def announce(self, _target, _uid, note):
        self.append(note.reason)


@pytest.fixture
def registry():
    return CollectorRegistry()


def test_of_a_policy_that_names_no_service_any_more_nothing_is_shown(registry):
    said, answers = Told(), iter(["no Service voice/old", None, None])
    last_word = LastWord(lambda _: "u", lambda: None, said)
    traffic = Traffic(lambda _: next(answers), Metrics(registry), said, last_word)

    def shown():
        return registry.get_sample_value("speech_autoscaler_service_misdirected", {"target": "voice/tts"})

    traffic.append(TICK)
    assert (shown(), said) == (1.0, ["no Service voice/old", "ServiceMisdirected"])
    traffic.append(TICK)
    traffic.append(TICK)
    assert (shown(), said[2:]) == (None, [None])
