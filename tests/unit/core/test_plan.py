"""From a decision to the fewest writes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.model import Decision, Drain, Fleet, Phase, Pod, Relabel, Scale
from autoscaler.plan import GRACE_S, plan

PHASES = {"S": Phase.SERVING, "s": Phase.STARTING, "g": Phase.STARTING, "b": Phase.STANDBY, "d": Phase.DRAINING}


def fleet(kinds: str, replicas: int | None = None) -> Fleet:
    """S serving, s starting, g starting and gated, b standby, d draining; later letters were ordered later."""
    pods = tuple(
        Pod(f"{kind}{i}", PHASES[kind], float(i), 50.0 - i if kind in "Sbd" else None, gated=kind in "gb")
        for i, kind in enumerate(kinds)
    )
    return Fleet(len(kinds) - kinds.count("d") if replicas is None else replicas, pods, version="7")


def decision(serving: int, standby: int = 0) -> Decision:
    return Decision(0.0, serving, standby, (), "rule")


@pytest.mark.parametrize(
    ("has", "wanted", "scale", "roles"),
    [
        pytest.param("SS", (2, 0), None, {}, id="nothing to do"),
        pytest.param("SS", (5, 0), 5, {}, id="grows"),
        pytest.param("SSSS", (1, 0), 1, {}, id="shrinks in one write"),
        pytest.param("SSbbb", (4, 1), None, {"b3": "serving", "b4": "serving"}, id="promotes the longest loaded"),
        pytest.param("SSb", (6, 0), 6, {"b2": "serving"}, id="promotes first, orders the rest"),
        pytest.param("SSss", (2, 2), None, {"s2": "standby", "s3": "standby"}, id="gates pods while they load"),
        pytest.param("SSss", (3, 1), None, {"s3": "standby"}, id="gates only what serving does not wait for"),
        pytest.param("SSgg", (3, 1), None, {"g2": "serving"}, id="releases a gated pod that still loads"),
        pytest.param("SSbb", (2, 0), 2, {}, id="drops standby by the scale alone"),
        pytest.param("SSSS", (2, 2), None, {"S2": "standby", "S3": "standby"}, id="the latest stand by again"),
        pytest.param("SSSSbb", (2, 2), 4, {}, id="none stand by again where enough do"),
        pytest.param(
            "SSSs", (2, 2), None, {"s3": "standby", "S2": "standby"}, id="starts stand by before serving pods"
        ),
        pytest.param(
            "Ssbb", (2, 2), None, {"b3": "serving", "s1": "standby"}, id="promotes what is loaded for a start"
        ),
        pytest.param("Sd", (1, 0), None, {}, id="a draining pod is none of the size"),
    ],
)
def test_the_plan(has, wanted, scale, roles):
    now = fleet(has)
    actions = plan(decision(*wanted), now)
    scales = [action for action in actions if isinstance(action, Scale)]
    assert {a.pod: a.role for a in actions if isinstance(a, Relabel)} == roles
    assert [(a.replicas, a.was, a.version) for a in scales] == ([(scale, now.replicas, "7")] if scale else [])


def test_while_a_rollout_replaces_pods_none_goes_back_to_standby():
    assert plan(decision(2, 2), replace(fleet("SSSS"), rolling_out=True)) == ()


@pytest.mark.parametrize("drain", Drain)
@pytest.mark.parametrize(
    ("old", "new", "wanted", "size"),
    [
        pytest.param("SSSS", "s", 4, 5, id="as many serve as shall: whichever goes may be one of them"),
        pytest.param("SSSS", "s", 3, 4, id="one serves too many"),
        pytest.param("SSSS", "ss", 1, 3, id="three serve too many"),
        pytest.param("SS", "sss", 3, 5, id="fewer serve than shall"),
        pytest.param("SS", "SS", 3, 3, id="all serve"),
        pytest.param("SSSS", "", 1, 1, id="one template"),
    ],
)
def test_a_rollout_that_will_not_go_on_costs_no_pod_that_shall_serve(old, new, wanted, size, drain):
    """Kubernetes splits a lower size over both templates, whether their pods serve or never will."""
    made = fleet(old + new)
    pods = tuple(replace(pod, revision="new" if place >= len(old) else "old") for place, pod in enumerate(made.pods))
    written = [
        each.replicas for each in plan(decision(wanted), replace(made, pods=pods), drain) if isinstance(each, Scale)
    ]
    if drain is Drain.SIGTERM:
        assert written == ([size] if size < len(pods) else [])
    assert all(each >= size for each in written)


NOW_S = 1000.0


def draining(kinds: str, since_s: float = NOW_S - 1.0) -> Fleet:
    """As `fleet`, where pods that drain are part of the size, and `e` is one that is being deleted."""
    made = fleet(kinds.replace("e", "d"))
    pods = tuple(
        replace(pod, ending=kind == "e", role_since_s=since_s if kind == "d" else None)
        for kind, pod in zip(kinds, made.pods, strict=True)
    )
    return replace(made, pods=pods, replicas=len(kinds) - kinds.count("e"))


@pytest.mark.parametrize(
    ("has", "wanted", "idle", "scale", "roles"),
    [
        pytest.param("SSSS", (2, 0), "", None, {"S2": "draining", "S3": "draining"}, id="leaves the Service first"),
        pytest.param("SSdd", (2, 0), "", None, {}, id="waits while they hold requests"),
        pytest.param("SSdd", (2, 0), "d2", 3, {}, id="takes away as many as hold nothing"),
        pytest.param("SSdd", (2, 0), "d2 d3", 2, {}, id="takes both away in one write"),
        pytest.param("SSee", (2, 0), "", None, {}, id="one that is being deleted is none of the size"),
        pytest.param("SSdd", (3, 0), "", None, {"d2": "serving"}, id="cancels a drain before it orders"),
        pytest.param("SSd", (5, 0), "d2", 5, {"d2": "serving"}, id="cancels drains, then orders the rest"),
        pytest.param("SSbd", (4, 0), "", None, {"b2": "serving", "d3": "serving"}, id="promotes, then cancels"),
        pytest.param("SSbbbb", (2, 2), "", 4, {}, id="standby pods go at once"),
        pytest.param("SSSSbb", (2, 2), "", None, {"S2": "draining", "S3": "draining"}, id="standby is kept"),
        pytest.param("SSSSb", (2, 2), "", None, {"S2": "draining", "S3": "standby"}, id="one stands by, one drains"),
        pytest.param("SSSs", (2, 0), "", 3, {}, id="pods that load go first"),
        pytest.param("SSSss", (1, 0), "", 3, {}, id="and no serving one with them"),
        pytest.param("SSsd", (3, 0), "d3", None, {}, id="nothing is taken away while one would go that loads"),
    ],
)
def test_draining_by_label(has, wanted, idle, scale, roles):
    now = draining(has)
    actions = plan(replace(decision(*wanted), at_s=NOW_S), now, Drain.LABEL, idle.split())
    assert {a.pod: a.role for a in actions if isinstance(a, Relabel)} == roles
    assert [a.replicas for a in actions if isinstance(a, Scale)] == ([] if scale is None else [scale])


@pytest.mark.parametrize(
    ("replicas", "wanted", "scale", "roles"),
    [
        pytest.param(2, 2, [], {}, id="nothing is cancelled, and nothing is taken twice"),
        pytest.param(2, 3, [3], {}, id="one more is ordered: which of them goes is decided"),
        pytest.param(3, 3, [], {"d2": "serving"}, id="the size counts one of them: it serves again"),
        pytest.param(3, 2, [], {}, id="the size counts one of them: one drain is over, and that one goes already"),
    ],
)
def test_a_lowered_size_shows_before_the_pods_that_it_costs_are_marked(replicas, wanted, scale, roles):
    now = replace(draining("SSdd"), replicas=replicas)
    actions = plan(replace(decision(wanted), at_s=NOW_S), now, Drain.LABEL, ["d3"])
    assert {a.pod: a.role for a in actions if isinstance(a, Relabel)} == roles
    assert [a.replicas for a in actions if isinstance(a, Scale)] == scale


@pytest.mark.parametrize(
    ("wanted", "scale", "roles"),
    [
        pytest.param(4, [], {"d2": "serving", "d3": "serving"}, id="they serve"),
        pytest.param(3, [3], {"d2": "serving"}, id="one goes, one serves"),
        pytest.param(2, [2], {}, id="they go"),
    ],
)
def test_what_drains_by_label_when_that_is_done_no_longer_serves_or_goes(wanted, scale, roles):
    actions = plan(decision(wanted), draining("SSdd"), Drain.SIGTERM)
    assert {a.pod: a.role for a in actions if isinstance(a, Relabel)} == roles
    assert [a.replicas for a in actions if isinstance(a, Scale)] == scale


@pytest.mark.parametrize("has", ["SSSS", "SSSs", "SSdd"])
def test_a_rollout_blocks_drains(has):
    assert plan(decision(1), replace(draining(has), rolling_out=True), Drain.LABEL, ["d2"]) == ()


@pytest.mark.parametrize(("since_s", "scale"), [(NOW_S - GRACE_S + 1, []), (NOW_S - GRACE_S - 1, [2])])
def test_a_drain_ends_when_its_grace_is_over(since_s, scale):
    actions = plan(replace(decision(2), at_s=NOW_S), draining("SSd", since_s), Drain.LABEL)
    assert [a.replicas for a in actions if isinstance(a, Scale)] == scale


@given(st.text("Ssgbde", max_size=12), st.integers(0, 12), st.integers(0, 6), st.sets(st.integers(0, 11)))
def test_draining_takes_away_no_more_than_holds_nothing(has, serving, standby, idle):
    now = draining(has)
    actions = plan(replace(decision(serving, standby), at_s=NOW_S), now, Drain.LABEL, [f"d{i}" for i in idle])
    pods = [action.pod for action in actions if isinstance(action, Relabel)]
    assert len(pods) == len(set(pods))
    assert not any(pod.startswith("e") for pod in pods)
    for write in actions:
        if isinstance(write, Scale) and write.replicas < now.replicas:
            lost = now.replicas - write.replicas
            waiting = sum(f"d{i}" in {p.name for p in now.pods} for i in idle)
            standby_now, loading = now.count(Phase.STANDBY), now.count(Phase.STARTING)
            assert lost <= (loading or waiting + standby_now)


@given(st.text("Ssgbd", max_size=12), st.integers(0, 12), st.integers(0, 6))
def test_at_most_one_scale_and_one_patch_a_pod_and_promotions_come_first(has, serving, standby):
    actions = plan(decision(serving, standby), fleet(has))
    pods = [action.pod for action in actions if isinstance(action, Relabel)]
    assert len(pods) == len(set(pods))
    assert sum(isinstance(action, Scale) for action in actions) <= 1
    assert all(isinstance(action, Relabel) for action in actions[:-1])
    roles = {action.pod: action.role for action in actions if isinstance(action, Relabel)}
    assert {role for pod, role in roles.items() if pod.startswith("S")} <= {"standby"}
    assert not any(pod.startswith("d") for pod in pods)
