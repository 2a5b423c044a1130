"""Leader election on a Lease of coordination.k8s.io/v1: who may write.

The client library's own elector is not safe as it is: an unreachable server ends it, wall-clock time decides, no
request has a time-out. This one runs on an injected monotonic clock and judges the expiry of another's lease by when
it was *seen* to change, never by the time written in it: clocks may be wrong, not faster than one another by half.
Source of the rules: client-go tools/leaderelection/leaderelection.go.

Election is not fencing: a write that was sent while leading may arrive later. So every write is conditional too.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import structlog
from kubernetes import client

from autoscaler.cluster.api import RefusedError, answer
from autoscaler.cluster.kinds import COORDINATION, Kind
from autoscaler.cluster.objects import Object
from autoscaler.model import InvalidInput, Unreachable

LEASE = "speech-autoscaler"
"""Its name, unless told otherwise."""
NOT_LEADING = "not the leader"
"""Why a process without it writes nothing."""
JITTER = 1.2
_CONFLICT, _NOT_FOUND = 409, 404
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """The defaults of Kubernetes' own controllers."""

    lease_s: float = 15.0
    """Others wait so long without a sign of the leader."""
    renew_s: float = 10.0
    """A leader that could not renew for so long stops writing."""
    retry_s: float = 2.0
    """Between two attempts; up to a fifth longer, by chance."""

    def __post_init__(self) -> None:
        if not self.lease_s > self.renew_s > JITTER * self.retry_s > 0:
            raise InvalidInput(
                f"lease {self.lease_s:g} s > renewal {self.renew_s:g} s > {JITTER:g} x "
                f"retry {self.retry_s:g} s > 0 must hold"
            )


@dataclass(frozen=True, slots=True)
class Record:
    """What stands in the Lease."""

    holder: str
    """Name of the pod that leads; empty when it was given back."""
    lease_s: float
    transitions: int
    acquired: str
    renewed: str
    version: str = ""
    """The API's resourceVersion."""


class Conflict(Exception):
    """Somebody else wrote first."""


class LeaseStore(Protocol):
    """Where the record is kept. Both writes raise Conflict, every method Unreachable."""

    def read(self) -> Record | None:
        """The record; None where there is no Lease."""

    def create(self, record: Record) -> Record:
        """Make the Lease."""

    def replace(self, record: Record) -> Record:
        """Write over the version that the record carries."""


class Election:
    """One candidate. Pure but for its store: time is given to it.

    Attributes:
        transitions: how often the lease has changed hands.
    """

    def __init__(self, store: LeaseStore, identity: str, timing: Timing, wall: Callable[[], str]) -> None:
        self._store = store
        self._identity = identity
        self._timing = timing
        self._wall = wall
        self._seen: Record | None = None
        self._seen_s = 0.0
        self._renewed_s: float | None = None
        self.transitions = 0

    def leading(self, now_s: float) -> bool:
        """Whether this candidate may write at this moment."""
        return self._renewed_s is not None and now_s - self._renewed_s < self._timing.renew_s

    def step(self, clock: Callable[[], float]) -> None:
        """Look at the lease once: renew it, take it when it is free or has expired, or leave it alone.

        Raises:
            Unreachable: the store could not be asked; nothing has changed.
        """
        asked_s = clock()
        try:
            record = self._store.read()
            if record is None:
                written = self._store.create(self._mine(None))
            else:
                self._notice(record, clock())
                if record.holder not in ("", self._identity) and not self._expired(record, clock()):
                    self._renewed_s = None
                    return
                asked_s = clock()
                written = self._store.replace(self._mine(record))
        except Conflict:
            self._renewed_s = None
            return
        self._seen, self._seen_s = written, clock()
        self._renewed_s = asked_s
        self.transitions = written.transitions

    def release(self, clock: Callable[[], float]) -> None:
        """Give the lease back, so that another need not wait for its end.

        Raises:
            Unreachable: the store could not be asked; the lease runs out by itself.
        """
        was_leading, self._renewed_s = self.leading(clock()), None
        if not was_leading or self._seen is None:
            return
        try:
            self._store.replace(replace(self._seen, holder="", lease_s=1.0, renewed=self._wall()))
        except Conflict:
            return

    def _notice(self, record: Record, now_s: float) -> None:
        if self._seen is None or record.version != self._seen.version:
            self._seen, self._seen_s = record, now_s
            self.transitions = record.transitions

    def _expired(self, record: Record, now_s: float) -> bool:
        return now_s - self._seen_s >= max(record.lease_s, self._timing.lease_s)

    def _mine(self, before: Record | None) -> Record:
        now = self._wall()
        if before is None:
            return Record(self._identity, self._timing.lease_s, 0, now, now)
        taken = before.holder != self._identity
        return Record(
            holder=self._identity,
            lease_s=self._timing.lease_s,
            transitions=before.transitions + taken,
            acquired=now if taken else before.acquired,
            renewed=now,
            version=before.version,
        )


class ClusterLease:
    """LeaseStore on the API server."""

    def __init__(self, api: client.ApiClient, namespace: str, name: str, timeout_s: float) -> None:
        self._leases = Kind(api, COORDINATION, "leases")
        self._namespace = namespace
        self._name = name
        self._timeout_s = timeout_s

    def read(self) -> Record | None:
        """See `LeaseStore`."""
        try:
            return _record(self._ask(self._leases.read, self._name, self._namespace))
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise Unreachable(f"Lease: {error}") from error

    def create(self, record: Record) -> Record:
        """See `LeaseStore`."""
        return self._write(self._leases.create, (self._namespace,), replace(record, version=""))

    def replace(self, record: Record) -> Record:
        """See `LeaseStore`."""
        return self._write(self._leases.replace, (self._name, self._namespace), record)

    def _write(self, call: Callable[..., object], where: tuple[str, ...], record: Record) -> Record:
        try:
            return _record(self._ask(call, *where, self._body(record)))
        except RefusedError as error:
            if error.status in (_CONFLICT, _NOT_FOUND):
                raise Conflict from error
            raise Unreachable(f"Lease: {error}") from error

    def _ask(self, call: Callable[..., object], *arguments: object) -> Object:
        found: Object = answer(call, *arguments, timeout_s=self._timeout_s)
        return found

    def _body(self, record: Record) -> Object:
        version = {"resourceVersion": record.version} if record.version else {}
        return {
            "metadata": {"name": self._name, "namespace": self._namespace} | version,
            "spec": {
                "holderIdentity": record.holder,
                "leaseDurationSeconds": max(1, round(record.lease_s)),
                "leaseTransitions": record.transitions,
                "acquireTime": record.acquired,
                "renewTime": record.renewed,
            },
        }


def _record(lease: Object) -> Record:
    spec = lease.get("spec") or {}
    return Record(
        holder=spec.get("holderIdentity") or "",
        lease_s=float(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        acquired=spec.get("acquireTime") or "",
        renewed=spec.get("renewTime") or "",
        version=lease["metadata"]["resourceVersion"],
    )


def wall_clock() -> str:
    """Now, as the API writes it: for people who read the Lease, never for a decision."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def since_boot_s() -> float:
    """Seconds of a clock that never jumps: on Linux one that goes on while the machine is suspended.

    The lease of a machine that sleeps runs out meanwhile, and when it wakes somebody else may lead.
    """
    return time.clock_gettime(_SINCE_BOOT)


class Elector:
    """Runs an election in a thread of its own.

    Args:
        election: what this process stands in.
        timing: of the Lease.
        clock: seconds of a clock that never jumps, nor stands still while the machine does.
        failed: is told of each attempt that could not ask the Lease.

    Attributes:
        problem: why the Lease could not be asked at the last attempt; empty where it could.
        thread: where it stands for leader; it ends when it is stopped.
    """

    def __init__(
        self,
        election: Election,
        timing: Timing,
        clock: Callable[[], float] = since_boot_s,
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        self._election = election
        self._timing = timing
        self._clock = clock
        self._failed = failed
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="election", daemon=True)
        self._led = False
        self.problem = ""

    def start(self) -> None:
        """Begin to stand for leader."""
        self.thread.start()

    def leading(self) -> bool:
        """Whether this process may write at this moment."""
        return not self._stopped.is_set() and self._election.leading(self._clock())

    def stop(self, within_s: float) -> None:
        """Stop leading and give the lease back; where that takes longer, it runs out by itself."""
        self._stopped.set()
        self.thread.join(within_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._attempt()
            pause_s = self._timing.retry_s * random.uniform(1.0, JITTER)  # noqa: S311 — spreads candidates
            self._stopped.wait(pause_s)
        try:
            self._election.release(self._clock)  # here, so that no attempt is under way beside it
        except Unreachable as error:
            self.problem = str(error)

    def _attempt(self) -> None:
        """Stand for leader once; what changes by it is said."""
        problem = ""
        try:
            self._election.step(self._clock)
        except Unreachable as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 — a candidate that ends here never leads again, and nobody notices
            problem = f"{type(error).__name__}: {error}"
        if problem:
            self._failed()
        if problem and not self.problem:
            _log.error("the Lease cannot be asked", error=problem)
        self.problem = problem
        led, self._led = self._led, self.leading()
        if led != self._led:
            _log.info("leads" if self._led else "leads no longer")
