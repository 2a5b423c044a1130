"""The guard rails: bounds, data, mode, contest, pause."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.decide import decide
from autoscaler.model import (
    Cause,
    Fleet,
    Missing,
    Mode,
    Observation,
    Phase,
    Pod,
    Problem,
    Proposal,
    Rails,
    Rewrite,
    Signals,
    Step,
)

DOWN = Problem("received", Missing(Cause.UNREACHABLE, "connection refused"))


def fleet(serving: int, standby: int = 0) -> Fleet:
    phases = [Phase.SERVING] * serving + [Phase.STANDBY] * standby
    return Fleet(serving + standby, tuple(Pod(f"p{i}", phase, 0.0, 15.0) for i, phase in enumerate(phases)))


def wish(serving: int, standby: int = 0) -> Proposal:
    return Proposal(serving, standby, (Step("rule", serving, standby, "because"),))


def rewritten(times: int) -> Fleet:
    """Four serving, and somebody else changed the size so often."""
    return replace(fleet(4), rewrites=tuple(Rewrite(60.0 + i, "argocd", 6, 4) for i in range(times)))


def seen(has: Fleet, *problems: Problem, paused: bool = False) -> Observation:
    return Observation(100.0, Signals((), problems), has, paused)


@pytest.mark.parametrize(
    ("proposal", "observation", "mode", "size", "ruled_by"),
    [
        pytest.param(wish(6), seen(fleet(4)), Mode.FULL, (6, 0), "rule", id="a wish within the rails rules"),
        pytest.param(wish(99), seen(fleet(4)), Mode.FULL, (10, 0), "bounds", id="capped at the maximum"),
        pytest.param(wish(0), seen(fleet(4)), Mode.FULL, (1, 0), "bounds", id="kept at the minimum"),
        pytest.param(wish(8, 6), seen(fleet(4)), Mode.FULL, (8, 2), "bounds", id="serving comes before standby"),
        pytest.param(wish(0, 3), seen(fleet(4)), Mode.FULL, (0, 3), "rule", id="standby counts for the minimum"),
        pytest.param(wish(2), seen(fleet(4), DOWN), Mode.FULL, (4, 0), "data", id="no shrink on missing data"),
        pytest.param(wish(6), seen(fleet(4), DOWN), Mode.FULL, (6, 0), "rule", id="growth on missing data"),
        pytest.param(wish(2), seen(fleet(3, 2), DOWN), Mode.FULL, (3, 2), "data", id="missing data keeps standby"),
        pytest.param(
            wish(2, 6), seen(fleet(8), DOWN), Mode.FULL, (8, 0), "data", id="missing data keeps pods in service"
        ),
        pytest.param(wish(3), seen(fleet(2, 6), DOWN), Mode.FULL, (3, 5), "data", id="promotion on missing data"),
        pytest.param(wish(2), seen(fleet(4)), Mode.ASSIST, (4, 0), "mode", id="assist never shrinks"),
        pytest.param(wish(2, 2), seen(fleet(4)), Mode.ASSIST, (4, 0), "mode", id="assist takes none out of service"),
        pytest.param(wish(6), seen(fleet(4)), Mode.ASSIST, (6, 0), "rule", id="assist grows"),
        pytest.param(wish(2), seen(fleet(4)), Mode.OBSERVE, (2, 0), "rule", id="observe decides as full does"),
        pytest.param(wish(2), seen(fleet(12), DOWN), Mode.FULL, (12, 0), "data", id="blindness beats the maximum"),
        pytest.param(wish(2), seen(fleet(12)), Mode.ASSIST, (12, 0), "mode", id="assist beats the maximum"),
        pytest.param(wish(2), seen(fleet(12)), Mode.FULL, (2, 0), "rule", id="full leads back below the maximum"),
        pytest.param(wish(0), seen(fleet(0), DOWN), Mode.ASSIST, (1, 0), "bounds", id="the minimum needs no data"),
        pytest.param(wish(6), seen(rewritten(2)), Mode.FULL, (6, 0), "rule", id="a person may scale"),
        pytest.param(wish(6), seen(rewritten(3)), Mode.FULL, (4, 0), "contested", id="a contest holds growth"),
        pytest.param(wish(1), seen(rewritten(3)), Mode.FULL, (4, 0), "contested", id="a contest holds a shrink"),
        pytest.param(wish(9), seen(fleet(4), paused=True), Mode.FULL, (4, 0), "pause", id="a pause holds"),
        pytest.param(wish(4), seen(fleet(12), paused=True), Mode.FULL, (12, 0), "pause", id="a pause beats the bounds"),
    ],
)
def test_the_wish_passes_the_rails(proposal, observation, mode, size, ruled_by):
    decision = decide(proposal, observation, Rails(1, 10, mode))
    assert ((decision.serving, decision.standby), decision.ruled_by) == (size, ruled_by)


@given(st.integers(0, 99), st.integers(0, 20), st.integers(0, 40), st.booleans(), st.booleans(), st.sampled_from(Mode))
def test_what_would_be_written_is_in_the_bounds_and_blindness_never_shrinks(serving, standby, has, blind, paused, mode):
    problems = (DOWN,) if blind else ()
    decision = decide(wish(serving, standby), seen(fleet(has), *problems, paused=paused), Rails(1, 30, mode))
    assert decision.replicas == has or 1 <= decision.replicas <= 30
    assert decision.serving >= 0
    assert decision.standby >= 0
    if blind or mode is Mode.ASSIST:
        assert decision.replicas >= has
    if paused:
        assert decision.replicas == has
    assert all(step.reason for step in decision.steps)


def test_pods_that_still_serve_are_not_taken_out_of_service_blindly_although_they_were_scaled_away():
    has = replace(fleet(2), replicas=0)
    assert decide(wish(0, 1), seen(has), Rails(1, 10)).standby == 1
    held = decide(wish(0, 1), seen(has, DOWN), Rails(1, 10))
    assert ((held.serving, held.standby), held.ruled_by) == ((1, 0), "data")


def test_who_contests_the_size_is_named():
    decision = decide(wish(6), seen(rewritten(3)), Rails(1, 10))
    assert decision.steps[-1].reason == "argocd changed the size 3 times in ten minutes: one of us has to stop"


def test_a_policy_whose_steps_contradict_its_wish_is_a_fault():
    with pytest.raises(ValueError, match="the last step says 3"):
        decide(Proposal(4, 0, (Step("rule", 3, 0, "because"),)), seen(fleet(1)), Rails(1, 10))


def test_impossible_rails_are_refused():
    with pytest.raises(ValueError, match="0 <= min <= max"):
        Rails(5, 2)
