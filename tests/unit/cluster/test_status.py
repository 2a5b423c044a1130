"""A target's ConfigMap: its name, who is paused, and what the status says."""

import json
import threading

import pytest
from structlog.testing import capture_logs

from autoscaler.capacity.missed import ServiceLaw, table
from autoscaler.cluster import status
from autoscaler.cluster.api import RefusedError
from autoscaler.cluster.conditions import REASONS, status_of
from autoscaler.cluster.status import (
    EXPLAINED,
    MEMORY,
    REFRESH_S,
    STATUS,
    Statuses,
    config_map_name,
    status_view,
)
from autoscaler.model import (
    Cause,
    Decision,
    Fleet,
    Hindered,
    Hindrance,
    Missing,
    Observation,
    Outcome,
    Problem,
    Scale,
    Signals,
    Step,
    Tick,
    Unreachable,
)
from autoscaler.policies.predictive.watch import limits

LAW = ServiceLaw(mean_s=0.18, cs2=0.36, objective_s=0.8, sure_miss_ratio=0.0015)
[TOO_SMALL] = limits(LAW, 0.01, out_of_reach=False, tables=table(LAW, 1.5, 10), load=12.0, correction=1.0)
"""What the predictive policy says at a load that its greatest size cannot carry."""


def tick(*, problems=(), ruled_by="hpa", outcomes=(), reason="because", hindered=()):
    seen = Observation(100.0, Signals((), tuple(problems)), Fleet(2, (), hindered=tuple(hindered)))
    return Tick("voice/tts", seen, Decision(100.0, 2, 1, (Step(ruled_by, 2, 1, reason),), ruled_by), tuple(outcomes))


def conditions(made):
    return {each["type"]: each["status"] for each in status_of(made)["conditions"]}


WELL = {"MetricsAvailable": "True", "AbleToScale": "True", "PodsStart": "True", "ScalingLimited": "False"}
NO_NODE = Hindered(Hindrance.NO_NODE, 1, "0/3 nodes are available", ("p0",))


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
        pytest.param(tick(ruled_by="contested"), {"AbleToScale": "False"}, id="held: others size it again and again"),
        pytest.param(tick(hindered=[NO_NODE]), {"PodsStart": "False"}, id="a start that does not go on"),
        pytest.param(tick(ruled_by="bounds"), {"ScalingLimited": "True"}, id="at a bound"),
        pytest.param(
            tick(ruled_by="present", reason=f"busy now; {TOO_SMALL}; and more"),
            {"ScalingLimited": "True"},
            id="too small",
        ),
        pytest.param(tick(ruled_by="order", reason=TOO_SMALL), {}, id="something else is said"),
    ],
)
def test_conditions(made, differs):
    assert conditions(made) == WELL | differs


def able(made, rival=""):
    return next(each for each in status_of(made, rival)["conditions"] if each["type"] == "AbleToScale")


@pytest.mark.parametrize("outcomes", [(), [Outcome(Scale(3, 2, "1"), done=False, detail="why", withheld=True)]])
def test_who_else_sizes_a_target_is_named_whether_or_not_there_is_something_to_write(outcomes):
    said = able(tick(outcomes=outcomes), "ScaledObject old sizes it too")
    assert (said["status"], said["reason"], said["message"]) == (
        "False",
        "SizedByAnother",
        "ScaledObject old sizes it too",
    )


@pytest.mark.parametrize("hindrance", Hindrance)
def test_what_keeps_pods_from_starting_is_named(hindrance):
    said = status_of(tick(hindered=[Hindered(hindrance, 2, "the cluster's words")]))["conditions"]
    [(reason, message)] = [(each["reason"], each["message"]) for each in said if each["type"] == "PodsStart"]
    assert (reason, message) == (REASONS[hindrance], f"2 pods {hindrance}: the cluster's words")


def test_of_a_greatest_size_that_is_too_small_it_is_said_what_it_misses():
    [said] = [
        each
        for each in status_of(tick(ruled_by="present", reason=f"busy now; {TOO_SMALL}"))["conditions"]
        if each["type"] == "ScalingLimited"
    ]
    assert (said["reason"], said["message"]) == ("AtBound", TOO_SMALL)


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


class Api:
    """ConfigMaps of one namespace; keeps what was written."""

    def __init__(self):
        self.written = []

    def list(self, *_, **__):
        """Nothing is watched here."""

    def patch(self, name, namespace, body, **_):
        self.written.append((name, body["data"]))
        return Response()


class Response:
    data = b"{}"


@pytest.fixture
def statuses(monkeypatch):
    api = Api()
    monkeypatch.setattr(status, "config_maps", lambda _: api)
    failed = []
    made = Statuses(
        None,
        "here",
        lambda: None,
        lambda _, before: ["in words", str(before is not None)],
        failed=lambda *said: failed.append(said),
    )
    made.thread.start()
    made.api, made.failed = api, failed
    return made


def written(statuses):
    assert statuses.flush(5.0)
    return [
        {name: json.loads(text) if name == STATUS else text for name, text in data.items()}
        for _, data in statuses.api.written
    ]


def test_a_status_is_written_when_something_changes_and_not_at_every_tick(statuses):
    for _ in range(3):
        statuses.append(tick())
    [first] = written(statuses)
    assert (first[STATUS]["target"], first[STATUS]["serving"], first[EXPLAINED]) == ("voice/tts", 2, "in words\nFalse")
    assert first[STATUS]["steps"] == [{"stage": "hpa", "serving": 2, "standby": 1, "reason": "because"}]
    statuses.append(tick(ruled_by="bounds"))
    assert len(written(statuses)) == 2


def test_figures_that_move_within_a_reason_are_no_change(statuses):
    """A thousand targets would write a thousand times a tick."""
    for busy in ("0.893", "0.9", "1"):
        stale = Problem("received", Missing(Cause.STALE, f"{busy} s old"))
        statuses.append(tick(reason=f"busy at {busy} of its target: times 5 ready pods asks for 5", problems=[stale]))
        written(statuses)
    statuses.append(tick(reason="busy at 1.4 of its target: too little waits", problems=[stale]))
    assert [each[STATUS]["reason"][:13] for each in written(statuses)] == ["busy at 0.893", "busy at 1.4 o"]


def test_an_unchanged_status_is_refreshed_now_and_then(statuses, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(status.time, "monotonic", lambda: now[0])
    statuses.append(tick())
    written(statuses)
    now[0] = REFRESH_S
    statuses.append(tick())
    assert len(written(statuses)) == 2


def test_what_is_wrong_with_a_policy_file_is_a_condition(statuses):
    statuses.about("voice/tts", {"mode": "observe", "policy": "hpa"})
    statuses.troubled("voice/tts", "a.yaml:3 min")
    statuses.append(tick())
    [said] = written(statuses)
    assert said[STATUS]["mode"] == "observe"
    assert said[STATUS]["conditions"][-1] == {
        "type": "PolicyValid",
        "status": "False",
        "reason": "LastGoodInForce",
        "message": "a.yaml:3 min",
        "lastTransitionTime": said[STATUS]["at"],
    }


def test_why_nothing_sizes_a_target_stands_there_until_a_tick_tells_of_it(statuses):
    statuses.append(tick())
    [before] = written(statuses)
    for _ in range(2):
        statuses.unsized("voice/tts", "two files name it")
        [_, unsized] = written(statuses)
    statuses.append(tick())
    [_, _, after] = written(statuses)
    assert unsized[EXPLAINED] == "two files name it"
    [able] = unsized[STATUS]["conditions"]
    assert (able["status"], able["reason"], able["message"]) == ("False", "Unsized", "two files name it")
    assert {name for name, at in since(before).items() if at != since(after)[name]} == {"AbleToScale"}


STALE = Problem("received", Missing(Cause.STALE, "9 s old"))


def since(data):
    """When each condition came to its status."""
    return {each["type"]: each["lastTransitionTime"] for each in data[STATUS]["conditions"]}


def test_a_condition_dates_from_when_its_status_changed_and_not_its_words(statuses):
    ticks = [tick(), tick(ruled_by="bounds"), tick(problems=[STALE]), tick(problems=[STALE], ruled_by="bounds")]
    told = []
    for each in ticks:
        statuses.append(each)
        told.append(written(statuses)[-1])
    first, at_bound, stale, both = (each[STATUS]["at"] for each in told)
    assert [since(each)["MetricsAvailable"] for each in told] == [first, first, stale, stale]
    assert [since(each)["ScalingLimited"] for each in told] == [first, at_bound, stale, both]
    assert [since(each)["AbleToScale"] for each in told] == [first] * 4


def kept(statuses, data):
    """What the watch hears of the ConfigMap."""
    statuses._known.put(
        {"metadata": {"uid": "u", "name": config_map_name("voice/tts"), "resourceVersion": "1"}, "data": data}
    )


def test_who_begins_to_lead_goes_on_with_the_times_that_the_leader_before_wrote(statuses, monkeypatch):
    conditions = [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-11-21T10:00:00Z"}]
    monkeypatch.setattr(statuses, "_forbidden", lambda: "not the leader")
    statuses.append(tick())
    kept(statuses, {STATUS: json.dumps({"conditions": conditions})})
    monkeypatch.setattr(statuses, "_forbidden", lambda: None)
    statuses.append(tick())
    [said] = written(statuses)
    assert since(said)["AbleToScale"] == "2026-11-21T10:00:00Z"
    assert since(said)["MetricsAvailable"] == said[STATUS]["at"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"conditions": 7}', '{"conditions": [7, {"status": "True"}, {"type": []}]}']
)
def test_a_status_that_somebody_has_edited_dates_nothing(statuses, text):
    kept(statuses, {STATUS: text})
    statuses.append(tick())
    [said] = written(statuses)
    assert set(since(said).values()) == {said[STATUS]["at"]}


def test_whatever_a_write_raises_the_next_status_is_written(statuses, monkeypatch):
    taken, faults = (
        statuses.api.patch,
        [RuntimeError("not of the client's"), RefusedError(403, "no right"), Unreachable("no answer")],
    )

    def patch(*arguments, **options):
        if faults:
            raise faults.pop()
        return taken(*arguments, **options)

    monkeypatch.setattr(statuses.api, "patch", patch)
    with capture_logs() as logs:
        for _ in range(4):
            statuses.append(tick())
            assert statuses.flush(5.0)
    assert [(line["event"], line["target"], line["log_level"]) for line in logs] == [
        ("status not written", "voice/tts", "warning"),
        ("status not written", "voice/tts", "warning"),
        ("status not written", "voice/tts", "error"),
    ]
    assert [kind for _, kind in statuses.failed] == ["unreachable", "forbidden", "unexpected"]
    assert len(written(statuses)) == 1
    assert statuses.thread.is_alive()


@pytest.fixture
def held(statuses, monkeypatch):
    """The API server takes nothing while this lock is held."""
    lock, taken = threading.Lock(), statuses.api.patch

    def patch(*arguments, **options):
        with lock:
            return taken(*arguments, **options)

    monkeypatch.setattr(statuses.api, "patch", patch)
    return lock


def test_a_kept_memory_and_a_status_are_one_write(statuses, held):
    with held:
        statuses.keep("voice/asr", "first")  # the writer waits with it
        statuses.keep("voice/tts", "memory")
        statuses.append(tick())
    together = [data for data in written(statuses) if MEMORY in data and STATUS in data]
    assert [data[MEMORY] for data in together] == ["memory"]


def test_who_has_waited_longest_is_written_first(statuses, held):
    """However many changes come meanwhile: on a slow API server the first would else wait for ever."""
    order = ["voice/first", "voice/second", "voice/third"]
    with held:
        for target in [*order, *reversed(order)]:
            statuses.keep(target, "memory")
    written(statuses)
    assert list(dict.fromkeys(name for name, _ in statuses.api.written)) == [config_map_name(each) for each in order]


def test_a_follower_says_nothing_and_who_begins_to_lead_says_what_holds(statuses, monkeypatch):
    monkeypatch.setattr(statuses, "_forbidden", lambda: "not the leader")
    monkeypatch.setattr(statuses, "_explain", lambda *_: pytest.fail("nobody would read it"))
    statuses.append(tick())
    assert written(statuses) == []
    monkeypatch.setattr(statuses, "_forbidden", lambda: None)
    monkeypatch.setattr(statuses, "_explain", lambda _, before: ["after one before" if before else "alone"])
    statuses.append(tick())
    assert [each[EXPLAINED] for each in written(statuses)] == ["after one before"]


@pytest.mark.parametrize(
    ("said", "paused"),
    [
        pytest.param(None, False, id="nothing"),
        ("", False),
        ("false", False),
        ("False", False),
        ("no", False),
        ("true", True),
        ("True\n", True),
        ("yes", True),
        pytest.param("ture", True, id="a slip of the pen"),
        pytest.param("until Monday, Ann", True, id="in words of their own"),
    ],
)
def test_what_people_write_to_pause_a_target_pauses_it(said, paused):
    """Who writes anything there wants it left alone."""
    data = {} if said is None else {"paused": said}
    assert status_view({"metadata": {"uid": "u", "name": "n"}, "data": data}).paused is paused
