"""A target's ConfigMap: its name, who is paused, and what the status says."""

import pytest

from autoscaler.cluster.status import config_map_name, status_of, status_view
from autoscaler.model import (
    Cause,
    Decision,
    Fleet,
    Missing,
    Observation,
    Outcome,
    Problem,
    Scale,
    Signals,
    Step,
    Tick,
)


def tick(*, problems=(), ruled_by="hpa", outcomes=()):
    seen = Observation(100.0, Signals((), tuple(problems)), Fleet(2, ()))
    return Tick("voice/tts", seen, Decision(100.0, 2, 1, (Step(ruled_by, 2, 1, "because"),), ruled_by), tuple(outcomes))


def conditions(made):
    return {each["type"]: each["status"] for each in status_of(made)["conditions"]}


WELL = {"MetricsAvailable": "True", "AbleToScale": "True", "ScalingLimited": "False"}


@pytest.mark.parametrize(
    ("made", "differs"),
    [
        pytest.param(tick(), {}, id="all is well"),
        pytest.param(
            tick(problems=[Problem("received", Missing(Cause.STALE, "old"))]), {"MetricsAvailable": "False"}, id="stale"
        ),
        pytest.param(
            tick(outcomes=[Outcome(Scale(3, 2, "1"), done=False, detail="403")]), {"AbleToScale": "False"}, id="refused"
        ),
        pytest.param(tick(ruled_by="bounds"), {"ScalingLimited": "True"}, id="at a bound"),
    ],
)
def test_conditions(made, differs):
    assert conditions(made) == WELL | differs


def test_a_fleet_that_cannot_be_read_is_said():
    made = Tick("voice/tts", Missing(Cause.ABSENT, "no Deployment voice/tts"), None, ())
    [condition] = status_of(made)["conditions"]
    assert (condition["type"], condition["status"]) == ("AbleToScale", "False")
    assert "no Deployment voice/tts" in condition["message"]


def test_the_last_decision_and_its_reason():
    said = status_of(tick())
    assert (said["serving"], said["standby"], said["ruledBy"], said["reason"]) == (2, 1, "hpa", "because")


@pytest.mark.parametrize(
    ("data", "paused"),
    [({"paused": "true"}, True), ({"paused": "false"}, False), ({"status.json": "{}"}, False), (None, False)],
)
def test_who_is_paused(data, paused):
    made = {"metadata": {"uid": "u", "name": "autoscaler.voice.tts"}} | ({"data": data} if data is not None else {})
    assert status_view(made).paused is paused


def test_names_are_valid_and_differ_however_long_they_are():
    short, *long = [
        config_map_name(name) for name in ("voice/tts", "n" * 63 + "/" + "d" * 250, "n" * 63 + "/" + "d" * 251)
    ]
    assert short == "autoscaler.voice.tts"
    assert len(set(long)) == 2
    assert all(len(name) <= 253 for name in long)
