"""Which ticks are worth an Event: changes, not states."""

import pytest

from autoscaler.cluster.events import CALM_S, Told, notes_of
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
    Rewrite,
    Scale,
    Signals,
    Step,
    Tick,
)

STALE = Problem("received", Missing(Cause.STALE, "75 s old"))
DOWN = Problem("received", Missing(Cause.UNREACHABLE, "refused"))


def tick(
    *,
    problems=(),
    ruled_by="hpa",
    reason="because",
    outcomes=(),
    hindered=(),
    rewrites=(),
    paused=False,
    at_s=100.0,
    uid="",
):
    fleet = Fleet(2, (), uid=uid, rewrites=tuple(rewrites), hindered=tuple(hindered))
    seen = Observation(at_s, Signals((), tuple(problems)), fleet, paused)
    decision = Decision(at_s, 2, 0, (Step(ruled_by, 2, 0, reason),), ruled_by)
    return Tick("voice/tts", seen, decision, tuple(outcomes))


GROWN = Outcome(Scale(4, 2, "1"), done=True)
REFUSED = Outcome(Scale(4, 2, "1"), done=False, detail="403: not yours")
WITHHELD = Outcome(Scale(4, 2, "1"), done=False, detail="observe: would scale 2 → 4", withheld=True)
RIVAL = "HorizontalPodAutoscaler old sizes it too: would scale 2 → 4"
KEPT_OUT = Outcome(Scale(4, 2, "1"), done=False, detail=RIVAL, withheld=True)
FOLLOWED = Outcome(Scale(4, 2, "1"), done=False, detail="not the leader: would scale 2 → 4", withheld=True)
BY_HAND, UNDONE = Rewrite(70.0, "kubectl", 2, 5), Rewrite(80.0, "argocd", 5, 2)
UNREAD = Tick("voice/tts", Missing(Cause.ABSENT, "gone"), None, ())


@pytest.mark.parametrize(
    ("before", "now", "notes"),
    [
        pytest.param(None, tick(), [], id="nothing happened"),
        pytest.param(
            None, tick(outcomes=[GROWN]), [("Normal", "Scaled", "2 → 4 replicas, ruled by hpa: because")], id="scaled"
        ),
        pytest.param(
            None, tick(outcomes=[REFUSED]), [("Warning", "ScaleFailed", "2 → 4 replicas: 403: not yours")], id="refused"
        ),
        pytest.param(
            None,
            tick(outcomes=[WITHHELD]),
            [("Normal", "ScaleWithheld", "observe: would scale 2 → 4, ruled by hpa: because")],
            id="withheld on purpose",
        ),
        pytest.param(tick(outcomes=[WITHHELD]), tick(outcomes=[WITHHELD]), [], id="withheld again: said once"),
        pytest.param(
            None,
            tick(outcomes=[KEPT_OUT]),
            [("Warning", "ScaleWithheld", f"{RIVAL}, ruled by hpa: because")],
            id="kept from it by somebody else",
        ),
        pytest.param(None, tick(outcomes=[FOLLOWED]), [], id="decided before this process led: its next tick writes"),
        pytest.param(tick(outcomes=[REFUSED]), tick(outcomes=[REFUSED]), [], id="refused again: said once"),
        pytest.param(
            tick(),
            tick(paused=True),
            [("Normal", "Paused", "left at 2 replicas until it is resumed")],
            id="paused",
        ),
        pytest.param(tick(paused=True), tick(paused=True), [], id="still paused: said once"),
        pytest.param(tick(paused=True), tick(), [("Normal", "Resumed", "sized again")], id="resumed"),
        pytest.param(
            tick(rewrites=[BY_HAND]),
            tick(rewrites=[BY_HAND, UNDONE]),
            [("Normal", "ExternalChange", "5 → 2 replicas by argocd")],
            id="somebody scaled",
        ),
        pytest.param(tick(rewrites=[BY_HAND, UNDONE]), tick(rewrites=[UNDONE]), [], id="somebody scaled long ago"),
        pytest.param(
            tick(), tick(ruled_by="contested"), [("Warning", "SizeContested", "holding: because")], id="a contest"
        ),
        pytest.param(tick(ruled_by="contested"), tick(ruled_by="contested"), [], id="it goes on: said once"),
        pytest.param(tick(), UNREAD, [], id="no Deployment to tell it of"),
        pytest.param(UNREAD, tick(), [], id="it is back"),
    ],
)
def test_notes(before, now, notes):
    assert [(note.kind, note.reason, note.text) for note in notes_of(before, now)] == notes


TOO_SMALL = {"ruled_by": "present", "reason": "busy now; 10 pods are the maximum, and miss 5%"}


def told(*ticks):
    """Reason and text of each Event of a target whose ticks these are."""
    telling = Told()
    return [(note.reason, note.text) for each in ticks for note in telling.notes(each)]


@pytest.mark.parametrize(
    ("limited", "text"),
    [
        pytest.param({"ruled_by": "bounds"}, "because", id="at the maximum"),
        pytest.param({"ruled_by": "hpa bounds"}, "because", id="of an HPA's rule"),
        pytest.param(TOO_SMALL, "10 pods are the maximum, and miss 5%", id="for a rule that weighs no others"),
    ],
)
def test_a_bound_that_holds_is_told_once(limited, text):
    ticks = [tick(at_s=at_s, **limited) for at_s in (0.0, 5.0, 10.0, 2 * CALM_S)]
    assert told(tick(), *ticks[:3]) == [("ScalingLimited", text)]


def test_a_bound_that_holds_and_does_not_by_turns_is_one_episode_until_it_was_gone_for_a_while():
    by_turns = [tick(at_s=5.0 * n, **(TOO_SMALL if n % 2 else {})) for n in range(500)]
    assert len(told(*by_turns)) == 1
    end_s = by_turns[-1].seen.at_s
    again = [tick(at_s=end_s + CALM_S / 2, **TOO_SMALL), tick(at_s=end_s + 2 * CALM_S, **TOO_SMALL)]
    assert len(told(*by_turns, again[0])) == 1
    assert len(told(*by_turns, *again)) == 2


def no_node(count, free=0):
    return Hindered(Hindrance.NO_NODE, count, f"{free}/3 nodes are available", ("p0", "p1")[:count])


CRASH = Hindered(Hindrance.FAILS, 1, "back-off 40s", ("p0",))
STUCK = "1 pod without a node (p0): 0/3 nodes are available"


@pytest.mark.parametrize(
    ("hindered", "said"),
    [
        pytest.param([[], [no_node(1)]], [STUCK], id="one"),
        pytest.param([[no_node(1)], [no_node(1)]], [STUCK], id="still: said once"),
        pytest.param([[no_node(1)], [no_node(1, free=1)]], [STUCK], id="another figure in the cluster's words"),
        pytest.param([[no_node(1)], [no_node(2)]], [STUCK, str(no_node(2))], id="one more"),
        pytest.param([[no_node(2)], [no_node(1)]], [str(no_node(2))], id="one less"),
        pytest.param([[no_node(1)], [CRASH]], [STUCK, str(CRASH)], id="another phase"),
    ],
)
def test_starts_that_do_not_go_on_are_told_with_their_phase_and_the_clusters_words(hindered, said):
    assert told(*(tick(hindered=each) for each in hindered)) == [("StartsStuck", each) for each in said]


MISSING, BACK = "nothing shrinks meanwhile: ", ("SignalsBack", "all signals are read again")
OLD, SILENT = f"{MISSING}{STALE}", f"{MISSING}{DOWN}"


@pytest.mark.parametrize(
    ("ticks", "events"),
    [
        pytest.param([[], [STALE]], [("SignalsMissing", OLD)], id="data went stale"),
        pytest.param([[STALE], [STALE]], [("SignalsMissing", OLD)], id="still stale: said once"),
        pytest.param(
            [[STALE], [DOWN]], [("SignalsMissing", OLD), ("SignalsMissing", SILENT)], id="missing for another cause"
        ),
        pytest.param([[STALE], [], []], [("SignalsMissing", OLD), BACK], id="back"),
    ],
)
def test_signals_that_cannot_be_read(ticks, events):
    assert told(*(tick(problems=problems, at_s=5.0 * n) for n, problems in enumerate(ticks))) == events


AGAIN = f"once more nothing shrinks: {STALE}"


def test_signals_that_come_and_go_are_one_episode_until_they_have_been_there_for_a_while():
    by_turns = [tick(at_s=5.0 * n, problems=[STALE][: n % 2]) for n in range(500)]
    episode = [("SignalsMissing", OLD), BACK, ("SignalsMissing", AGAIN)]
    assert told(*by_turns) == episode
    end_s = by_turns[-1].seen.at_s
    good = [tick(at_s=end_s + after_s) for after_s in (CALM_S / 2, CALM_S + 1.0, CALM_S + 5.0)]
    assert told(*by_turns, good[0]) == episode
    assert told(*by_turns, *good) == [*episode, BACK]
    anew = [tick(at_s=end_s + 2 * CALM_S, problems=[STALE]), tick(at_s=end_s + 2 * CALM_S + 5.0)]
    assert told(*by_turns, *good, *anew) == [*episode, BACK, ("SignalsMissing", OLD), BACK]


def test_signals_that_go_again_and_stay_away_are_the_last_word():
    assert told(*(tick(at_s=5.0 * n, problems=[STALE][: n != 1]) for n in range(500)))[-1] == ("SignalsMissing", AGAIN)


def test_causes_that_take_turns_are_told_once_each_and_the_last_one_at_last():
    by_turns = [tick(at_s=5.0 * n, problems=[(STALE, DOWN)[n % 2]]) for n in range(100)]
    assert told(*by_turns) == [("SignalsMissing", OLD), ("SignalsMissing", SILENT)]
    then = [tick(at_s=500.0 + 5.0 * n, problems=[STALE]) for n in range(100)]
    assert told(*by_turns, *then)[-1] == ("SignalsMissing", OLD)


def test_what_holds_is_not_told_again_because_the_fleet_could_not_be_read_for_a_moment():
    held = tick(paused=True, problems=[STALE])
    assert [reason for reason, _ in told(held, UNREAD, held)] == ["Paused", "SignalsMissing"]


def test_a_deployment_that_was_made_anew_is_told_what_holds():
    reasons = [reason for reason, _ in told(tick(paused=True, uid="old"), tick(paused=True, uid="new"))]
    assert reasons == ["Paused", "Paused"]
