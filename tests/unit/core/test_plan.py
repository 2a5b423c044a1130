"""From a decision to the fewest writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.model import Decision, Fleet, Phase, Pod, Relabel, Scale
from autoscaler.plan import plan

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
        pytest.param("Sd", (1, 0), None, {}, id="a draining pod is none of the size"),
    ],
)
def test_the_plan(has, wanted, scale, roles):
    now = fleet(has)
    actions = plan(decision(*wanted), now)
    scales = [action for action in actions if isinstance(action, Scale)]
    assert {a.pod: a.role for a in actions if isinstance(a, Relabel)} == roles
    assert [(a.replicas, a.was, a.version) for a in scales] == ([(scale, now.replicas, "7")] if scale else [])


@given(st.text("Ssgbd", max_size=12), st.integers(0, 12), st.integers(0, 6))
def test_at_most_one_scale_and_one_patch_a_pod_and_promotions_come_first(has, serving, standby):
    actions = plan(decision(serving, standby), fleet(has))
    pods = [action.pod for action in actions if isinstance(action, Relabel)]
    assert len(pods) == len(set(pods))
    assert sum(isinstance(action, Scale) for action in actions) <= 1
    assert all(isinstance(action, Relabel) for action in actions[:-1])
    assert not any(pod.startswith(("S", "d")) for pod in pods)
