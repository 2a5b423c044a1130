"""What a tick says of its target, as conditions and figures in the form of the API. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autoscaler.model import Decision, Hindered, Hindrance, Observation, Outcome, Phase, Tick

LIMITS = frozenset({"bounds", "hpa bounds"})
"""Stages that hold a wish within the least and the greatest size: every policy's, and that of the HPA's rule."""
SAID_WITH, TOO_SMALL = "present", "are the maximum"
"""Where the predictive policy, which weighs only sizes within its bounds, says that the greatest is too small."""


REASONS: Mapping[Hindrance, str] = {
    Hindrance.REFUSED: "PodsRefused",
    Hindrance.NO_NODE: "Unschedulable",
    Hindrance.NO_IMAGE: "ImageNotPulled",
    Hindrance.FAILS: "ContainersFail",
    Hindrance.LATE: "ProgressDeadlineExceeded",
}
"""Of starts that do not go on."""


def status_of(tick: Tick, rival: str = "") -> dict[str, Any]:
    """The last decision and the conditions, in the form of the API; `rival`: who else sizes the target."""
    if not isinstance(tick.seen, Observation) or tick.decision is None:
        return {"conditions": [_condition("AbleToScale", "False", "FleetUnknown", str(tick.seen))]}
    decision, seen = tick.decision, tick.seen
    problems = "; ".join(map(str, seen.signals.problems))
    undone = [outcome for outcome in tick.outcomes if not outcome.done]
    ruling = next(step.reason for step in reversed(decision.steps) if step.stage == decision.ruled_by)
    limit = limit_of(decision)
    return {
        "observedGeneration": seen.fleet.generation,
        "replicas": seen.fleet.replicas,
        "serving": decision.serving,
        "standby": decision.standby,
        "ruledBy": decision.ruled_by,
        "reason": ruling,
        "pods": {phase.value: seen.fleet.count(phase) for phase in Phase},
        "paused": seen.paused,
        "conditions": [
            _condition(
                "MetricsAvailable", "False" if problems else "True", "SignalsMissing" if problems else "Read", problems
            ),
            _able(undone, rival, contest_of(decision)),
            _starting(seen.fleet.hindered),
            _condition("ScalingLimited", str(limit is not None), "AtBound" if limit else "WithinBounds", limit or ""),
        ],
    }


def limit_of(decision: Decision) -> str | None:
    """How the least or the greatest size keeps a target from the one it wants; None where neither does."""
    steps = decision.steps
    if decision.ruled_by in LIMITS:
        return next(step.reason for step in reversed(steps) if step.stage == decision.ruled_by)
    reasons = (part for step in steps if step.stage == SAID_WITH for part in step.reason.split("; "))
    return next((part for part in reasons if TOO_SMALL in part), None)


def details_of(tick: Tick) -> dict[str, Any]:
    """What moves at every tick, and is written with what has changed."""
    if not isinstance(tick.seen, Observation) or tick.decision is None:
        return {}
    scrapes = tick.seen.signals.scrapes
    return {
        "decidedAt": tick.seen.at_s,
        "dataAgeSeconds": round(tick.seen.at_s - scrapes[-1].at_s, 1) if scrapes else None,
        "steps": [
            {"stage": step.stage, "serving": step.serving, "standby": step.standby, "reason": step.reason}
            for step in tick.decision.steps
        ],
        "figures": dict(tick.decision.insight),
    }


def contest_of(decision: Decision) -> str | None:
    """Who changes the size again and again, so that the target is held; None where nobody does."""
    return next((step.reason for step in decision.steps if step.stage == "contested"), None)


def _able(undone: Sequence[Outcome], rival: str, contest: str | None) -> dict[str, str]:
    if rival:
        return _condition("AbleToScale", "False", "SizedByAnother", rival)
    if contest:
        return _condition("AbleToScale", "False", "SizeContested", contest)
    if not undone:
        return _condition("AbleToScale", "True", "Written", "")
    reason = "Withheld" if all(outcome.withheld for outcome in undone) else "WriteFailed"
    return _condition("AbleToScale", "False", reason, "; ".join(outcome.detail for outcome in undone))


def unsized_status(why: str) -> dict[str, Any]:
    """Of a target of which no tick tells."""
    return {"conditions": [_condition("AbleToScale", "False", "Unsized", why)]}


def _starting(hindered: Sequence[Hindered]) -> dict[str, str]:
    if not hindered:
        return _condition("PodsStart", "True", "NoneStuck", "")
    return _condition("PodsStart", "False", REASONS[hindered[0].hindrance], "; ".join(map(str, hindered)))


def said_in(status: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """The conditions of a status that was written, by type; somebody may have edited it."""
    said = status.get("conditions")
    return {str(each.get("type")): each for each in said if isinstance(each, Mapping)} if isinstance(said, list) else {}


def dated(
    conditions: Iterable[dict[str, str]], before: Mapping[str, Mapping[str, str]], at: str
) -> list[dict[str, str]]:
    """Conditions with when each came to its status; what was said before holds on where the status is the same."""

    def since(condition: dict[str, str]) -> str:
        was = before.get(condition["type"], {})
        return str(was.get("lastTransitionTime", at)) if was.get("status") == condition["status"] else at

    return [each | {"lastTransitionTime": since(each)} for each in conditions]


def policy_condition(problems: str) -> dict[str, str]:
    """A policy that cannot be used leaves the last good one in force."""
    if not problems:
        return _condition("PolicyValid", "True", "InForce", "")
    return _condition("PolicyValid", "False", "LastGoodInForce", problems)


def service_condition(problem: str) -> dict[str, str]:
    """A Service that does not select the pods; nothing is held for it."""
    if not problem:
        return _condition("ServiceSelects", "True", "Selected", "")
    return _condition("ServiceSelects", "False", "Misdirected", problem)


def _condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}
