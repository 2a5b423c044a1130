"""Which ticks are worth an Event: changes, not states."""

import pytest

from autoscaler.cluster.events import notes_of
from autoscaler.model import (
    Cause,
    Decision,
    Fleet,
    Missing,
    Observation,
    Outcome,
    Phase,
    Pod,
    Problem,
    Rewrite,
    Scale,
    Signals,
    Step,
    Tick,
)

STALE = Problem("received", Missing(Cause.STALE, "75 s old"))
DOWN = Problem("received", Missing(Cause.UNREACHABLE, "refused"))


def tick(*, problems=(), ruled_by="hpa", reason="because", outcomes=(), stuck=0, rewrites=(), paused=False):
    pods = tuple(Pod(f"p{i}", Phase.STARTING, 0.0, stuck=True) for i in range(stuck))
    seen = Observation(100.0, Signals((), tuple(problems)), Fleet(2, pods, rewrites=tuple(rewrites)), paused)
    decision = Decision(100.0, 2, 0, (Step(ruled_by, 2, 0, reason),), ruled_by)
    return Tick("voice/tts", seen, decision, tuple(outcomes))


GROWN = Outcome(Scale(4, 2, "1"), done=True)
REFUSED = Outcome(Scale(4, 2, "1"), done=False, detail="403: not yours")
WITHHELD = Outcome(Scale(4, 2, "1"), done=False, detail="observe: would scale 2 → 4", withheld=True)
RIVAL = "HorizontalPodAutoscaler old sizes it too: would scale 2 → 4"
KEPT_OUT = Outcome(Scale(4, 2, "1"), done=False, detail=RIVAL, withheld=True)
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
        pytest.param(tick(outcomes=[REFUSED]), tick(outcomes=[REFUSED]), [], id="refused again: said once"),
        pytest.param(
            tick(),
            tick(problems=[STALE]),
            [("Warning", "SignalsMissing", "nothing shrinks meanwhile: received stale: 75 s old")],
            id="data went stale",
        ),
        pytest.param(tick(problems=[STALE]), tick(problems=[STALE]), [], id="still stale: said once"),
        pytest.param(
            tick(problems=[STALE]),
            tick(problems=[DOWN]),
            [("Warning", "SignalsMissing", "nothing shrinks meanwhile: received unreachable: refused")],
            id="missing for another cause",
        ),
        pytest.param(
            tick(problems=[STALE]), tick(), [("Normal", "SignalsBack", "all signals are read again")], id="back"
        ),
        pytest.param(
            tick(),
            tick(ruled_by="bounds"),
            [("Warning", "ScalingLimited", "because")],
            id="at the maximum",
        ),
        pytest.param(tick(ruled_by="bounds"), tick(ruled_by="bounds"), [], id="still there: said once"),
        pytest.param(
            tick(stuck=1),
            tick(stuck=2),
            [("Warning", "StartsStuck", "2 of 2 pods will not start: p0, p1")],
            id="one more is stuck",
        ),
        pytest.param(tick(stuck=2), tick(stuck=1), [], id="one less is stuck"),
        pytest.param(
            tick(),
            tick(stuck=5),
            [("Warning", "StartsStuck", "5 of 5 pods will not start: p0, p1, p2 …")],
            id="many are stuck: some are named",
        ),
        pytest.param(
            tick(),
            tick(ruled_by="hpa bounds"),
            [("Warning", "ScalingLimited", "because")],
            id="at the maximum of an HPA's rule",
        ),
        pytest.param(
            tick(),
            tick(ruled_by="present", reason="busy now; 10 pods are the maximum, and miss 5%"),
            [("Warning", "ScalingLimited", "10 pods are the maximum, and miss 5%")],
            id="a greatest size that is too small for a rule that weighs no others",
        ),
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
