"""Kubernetes Events on the Deployment: what `kubectl describe` shows of a decision.

Reasons are constant, and an Event is made when something changes, not at every tick.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import structlog
from kubernetes import client

from autoscaler.cluster.api import FIELD_MANAGER, RefusedError, answer
from autoscaler.cluster.conditions import contest_of, limit_of
from autoscaler.cluster.kinds import EVENTS, Kind
from autoscaler.cluster.lease import NOT_LEADING, wall_clock
from autoscaler.model import Cause, Decision, Fleet, Mode, Observation, Scale, Tick, Unreachable

SCALED = "Scaled"
SCALE_FAILED = "ScaleFailed"
SCALE_WITHHELD = "ScaleWithheld"
SIGNALS_MISSING = "SignalsMissing"
SIGNALS_BACK = "SignalsBack"
SCALING_LIMITED = "ScalingLimited"
STARTS_STUCK = "StartsStuck"
EXTERNAL_CHANGE = "ExternalChange"
SIZE_CONTESTED = "SizeContested"
PAUSED = "Paused"
RESUMED = "Resumed"
POLICY_REFUSED = "PolicyRefused"
POLICY_ACCEPTED = "PolicyAccepted"
SERVICE_MISDIRECTED = "ServiceMisdirected"
SERVICE_SELECTS = "ServiceSelects"
SIZED_BY_ANOTHER = "SizedByAnother"
SIZED_ALONE = "SizedAlone"
UNSIZED = "Unsized"
SIZED_AGAIN = "SizedAgain"

NOTE_BYTES = 1024
"""The API takes no longer note (events.k8s.io/v1); it counts bytes."""
CALM_S = 600.0
"""What comes and goes by turns (a size that is just about enough, signals about as old as they may be) is told again
after so long without."""
WAITING = 1000
"""Events that wait for the API server; more are dropped, decisions go on."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Note:
    """One Event to be."""

    kind: Literal["Normal", "Warning"]
    reason: str
    text: str


def notes_of(before: Tick | None, tick: Tick) -> Iterator[Note]:
    """What is worth an Event about a tick, given the one before."""
    if not isinstance(tick.seen, Observation) or tick.decision is None:
        return
    yield from _writes(before, tick, tick.decision)
    was = before.seen if before is not None and isinstance(before.seen, Observation) else None
    yield from _rewrites(before, tick.seen.fleet, was, tick.decision)
    paused_before = was is not None and was.paused
    if tick.seen.paused and not paused_before:
        yield Note("Normal", PAUSED, f"left at {tick.seen.fleet.replicas} replicas until it is resumed")
    if paused_before and not tick.seen.paused:
        yield Note("Normal", RESUMED, "sized again")
    hindered_before = {each.hindrance: each.count for each in was.fleet.hindered} if was else {}
    for each in tick.seen.fleet.hindered:
        if each.count > hindered_before.get(each.hindrance, 0):
            yield Note("Warning", STARTS_STUCK, str(each))


@dataclass(slots=True)
class Unread:
    """What one target's Events said of signals that cannot be read.

    Around the limit of their age signals come and go at every tick. What is missing is told at once, and that they are
    back; of those that then go again it is the last word until they have been there for `CALM_S`.
    """

    said: frozenset[Cause] = frozenset()
    """The last word; empty: that all are read, or nothing yet."""
    causes: set[frozenset[Cause]] = field(default_factory=set)
    """All that was said since signals were last there for long."""
    said_s: float = -math.inf
    missed_s: float = -math.inf
    """When any was last missing."""
    flaps: bool = False

    def notes(self, seen: Observation) -> Iterator[Note]:
        """What is worth an Event about the signals of a tick, after those before it."""
        calm = _long_ago(self.missed_s, seen.at_s)
        if not (problems := seen.signals.problems):
            if self.said and (calm or not self.flaps):
                self.said = frozenset()
                yield Note("Normal", SIGNALS_BACK, "all signals are read again")
            return
        if calm:
            self.causes, self.flaps = set(), False
        self.missed_s = seen.at_s
        causes = frozenset(each.missing.cause for each in problems)
        if causes == self.said:
            return
        self.flaps = self.flaps or (not self.said and bool(self.causes))
        if not self.said or causes not in self.causes or _long_ago(self.said_s, seen.at_s):
            self.said, self.said_s = causes, seen.at_s
            self.causes.add(causes)
            what = "once more nothing shrinks" if self.flaps else "nothing shrinks meanwhile"
            yield Note("Warning", SIGNALS_MISSING, f"{what}: {'; '.join(map(str, problems))}")


@dataclass(slots=True)
class Told:
    """What one target's Events are made from: changes are told, not states."""

    before: Tick | None = None
    """The last tick that decided."""
    limited_s: float = -math.inf
    """When a bound last held."""
    unread: Unread = field(default_factory=Unread)

    def notes(self, tick: Tick) -> list[Note]:
        """What is worth an Event about a tick, after those before it."""
        if not isinstance(tick.seen, Observation) or tick.decision is None:
            return []
        if self.before is not None and _uid(self.before) != tick.seen.fleet.uid:
            self.before, self.limited_s, self.unread = None, -math.inf, Unread()  # what is new has no Events yet
        notes = [*notes_of(self.before, tick), *self.unread.notes(tick.seen)]
        if (limit := limit_of(tick.decision)) is not None:
            if _long_ago(self.limited_s, tick.seen.at_s):
                notes.append(Note("Warning", SCALING_LIMITED, limit))
            self.limited_s = tick.seen.at_s
        self.before = tick
        return notes


def _long_ago(then_s: float, now_s: float) -> bool:
    return abs(now_s - then_s) > CALM_S  # the clock may be set back


def _uid(tick: Tick) -> str:
    return tick.seen.fleet.uid if isinstance(tick.seen, Observation) else ""


def _writes(before: Tick | None, tick: Tick, decision: Decision) -> Iterator[Note]:
    failed_before = {outcome.detail for outcome in before.outcomes if not outcome.done} if before else set()
    for outcome in tick.outcomes:
        if not isinstance(outcome.action, Scale):
            continue
        sizes = f"{outcome.action.was} → {outcome.action.replicas} replicas"
        if outcome.done:
            yield Note("Normal", SCALED, f"{sizes}, {_ruling(decision)}")
        elif outcome.detail in failed_before or outcome.detail.startswith(NOT_LEADING):
            continue  # nobody's news, should this process lead by now: its next tick writes
        elif outcome.withheld:
            meant = outcome.detail.startswith(Mode.OBSERVE)  # anything else keeps a target from being sized
            yield Note("Normal" if meant else "Warning", SCALE_WITHHELD, f"{outcome.detail}, {_ruling(decision)}")
        else:
            yield Note("Warning", SCALE_FAILED, f"{sizes}: {outcome.detail}")


def _rewrites(before: Tick | None, fleet: Fleet, was: Observation | None, decision: Decision) -> Iterator[Note]:
    for each in fleet.rewrites:
        if was is not None and each not in was.fleet.rewrites:
            yield Note("Normal", EXTERNAL_CHANGE, f"{each.was} → {each.replicas} replicas by {each.by}")
    contest = contest_of(decision)
    if contest and not (before and before.decision and contest_of(before.decision)):
        yield Note("Warning", SIZE_CONTESTED, f"holding: {contest}")


def _ruling(decision: Decision) -> str:
    reason = next(step.reason for step in reversed(decision.steps) if step.stage == decision.ruled_by)
    return f"ruled by {decision.ruled_by}: {reason}"


class Announcer:
    """Journal that makes Events, in a thread of its own: no tick waits for them, and a lost one changes nothing.

    Args:
        api: a connection.
        identity: this process, as the Event's reporting instance.
        forbidden: why nothing may be written; asked before every Event.
        timeout_s: for one request.

    Attributes:
        thread: where they are sent; it has no end.
        lost: how many Events could not be written.
    """

    def __init__(
        self, api: client.ApiClient, identity: str, forbidden: Callable[[], str | None], timeout_s: float = 3.0
    ) -> None:
        self._events = Kind(api, EVENTS, "events")
        self._identity = identity
        self._forbidden = forbidden
        self._timeout_s = timeout_s
        self._told: dict[str, Told] = {}
        self._waiting: queue.Queue[tuple[str, str, Note]] = queue.Queue(WAITING)
        self.thread = threading.Thread(target=self._run, name="events", daemon=True)
        self.lost = 0

    def start(self) -> None:
        """Begin to send."""
        self.thread.start()

    def append(self, tick: Tick) -> None:
        """See `Journal`. Who begins to lead says what then holds."""
        if self._forbidden() is not None:
            self._told.pop(tick.target, None)
            return
        for note in self._told.setdefault(tick.target, Told()).notes(tick):
            self.announce(tick.target, _uid(tick), note)

    def announce(self, target: str, uid: str, note: Note) -> None:
        """Say something about a target; the UID is that of its Deployment, by which `kubectl describe` finds it."""
        try:
            self._waiting.put_nowait((target, uid, note))
        except queue.Full:
            self.lost += 1

    def _run(self) -> None:
        while True:
            target, uid, note = self._waiting.get()
            if self._forbidden() is None:
                self._send(target, uid, note)

    def _send(self, target: str, uid: str, note: Note) -> None:
        namespace, _, name = target.partition("/")
        now = wall_clock()
        body = {
            "metadata": {"generateName": f"{name[:40].rstrip('.-')}-", "namespace": namespace},
            "eventTime": now,
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._identity[:128],
            "action": "Scale",
            "reason": note.reason,
            "type": note.kind,
            "note": note.text.encode()[:NOTE_BYTES].decode(errors="ignore"),
            "regarding": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "namespace": namespace,
                "name": name,
                "uid": uid,
            },
        }
        try:
            answer(self._events.create, namespace, body, timeout_s=self._timeout_s)
        except (RefusedError, Unreachable) as error:
            self.lost += 1
            _log.warning("event not written", target=target, reason=note.reason, error=str(error))
        except Exception:  # noqa: BLE001 — whatever it is: a thread that ends here never tells anything again
            self.lost += 1
            _log.exception("event not written", target=target, reason=note.reason)
