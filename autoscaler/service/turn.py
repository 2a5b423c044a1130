"""The right to write for one tick: the Lease, taken and given back by `autoscaler run --once`.

Whoever leads renews the Lease every few seconds, so a Lease that changes under the eyes of one who waits has a living
holder: then it is said who leads, and nothing is written. One that nobody has renewed for its whole length is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from autoscaler.cluster.lease import Election, LeaseStore, Timing, since_boot_s, wall_clock
from autoscaler.model import Unreachable


class Turn:
    """One candidate that wants to write once.

    Args:
        store: where the Lease is.
        identity: who asks: the pod's name, where the admission policies are installed.
        timing: of the Lease.
        clock: seconds of a clock that never jumps, nor stands still while the machine does.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        timing: Timing,
        *,
        clock: Callable[[], float] = since_boot_s,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._sleep = sleep
        self._election = Election(store, identity, timing, wall_clock)
        self._refused = "the Lease was not asked for"

    def take(self) -> str | None:
        """Take the Lease; why it cannot be taken, None where this process may write now."""
        try:
            self._refused = self._holder_that_lives() or ""
            if not self._refused:
                self._election.step(self._clock)
                self._refused = "" if self._leading() else "somebody else took the Lease first"
        except Unreachable as error:
            self._refused = f"the Lease cannot be asked: {error}"
        return self._refused or None

    def forbidden(self) -> str | None:
        """Why nothing may be written at this moment."""
        return self._refused or (None if self._leading() else "the Lease has run out")

    def renew(self) -> None:
        """Between two targets: what cannot be renewed runs out, and is not written under any more."""
        if self._refused:
            return
        try:
            self._election.step(self._clock)
        except Unreachable:
            return

    def release(self) -> None:
        """Give it back; where that fails it runs out by itself."""
        try:
            self._election.release(self._clock)
        except Unreachable:
            return

    def _leading(self) -> bool:
        return self._election.leading(self._clock())

    def _holder_that_lives(self) -> str | None:
        """Wait until the Lease is free, has run out, or is seen to be renewed: then by whom."""
        first, began_s = self._store.read(), self._clock()
        found = first
        while found is not None and first is not None and found.holder:
            if found.version != first.version:
                return f"{found.holder} leads and renews its Lease"
            if found.holder != self._identity:
                self._election.step(self._clock)  # it has to see for itself that nothing changes
                if self._leading():
                    return None
            elif self._clock() - began_s >= max(found.lease_s, self._timing.lease_s):
                return None
            self._sleep(self._timing.retry_s)
            found = self._store.read()
        return None
