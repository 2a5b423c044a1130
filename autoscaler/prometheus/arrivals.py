"""How much work came: what pods received, without what they had to refuse, and with what no pod has taken yet."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from autoscaler.model import Cause, Missing, Reading
from autoscaler.prometheus.ledger import Item, Look

RECEIVED, REFUSED = Item("received"), Item("refused")
READY, LAG, INSIDE = Item("ready"), Item("lag"), Item("in_flight")
INGREDIENTS = frozenset(item.signal for item in (REFUSED, READY, LAG))
"""Signals that are told of no further."""
UNSEEN = Missing(Cause.ABSENT, "began anew while nothing was scraped")
_NOBODY_COUNTS = Missing(Cause.ABSENT, "no running pod exports it")
SETTLED_S = 60.0
"""So long the broker and the pods may be scraped apart. What is missing for longer has left the queue untaken."""
_UNTOLD = Missing(Cause.STALE, "how much waits in the queue was not told")


@dataclass(slots=True)
class Arrivals:
    """A counter that never falls, from counters and gauges that were scraped at different moments.

    A request that no pod can answer (a forged token, a broken file) asks for no pod. The workers of a queue receive at
    the pace at which they work: what came is what they took and what still waits in the broker. A message that is
    taken between two scrapes is seen in both, or in neither, for a moment; the sum waits until it grows
    again. Messages that leave untaken (a queue is purged, they expire, a group's offset is moved) had come all the
    same: what comes after them counts again once the sum has settled.
    """

    queue: Item | None = None
    """How the broker tells what waits: `READY` is what nobody has taken, `LAG` holds what is being worked on, too."""
    received: float = 0.0
    refused: float = 0.0
    lost: float = 0.0
    """Left the queue untaken."""
    most: float = 0.0
    _settled_s: float = -math.inf
    """When the sum was last as large as ever."""

    @classmethod
    def told_by(cls, signals: Collection[str]) -> Arrivals:
        """Of a target of which these signals are read."""
        return cls(next((item for item in (READY, LAG) if item.signal in signals), None))

    def of(self, look: Look) -> Reading:
        """What had come at the time of a look."""
        if {RECEIVED, REFUSED} & look.unseen:
            return UNSEEN
        if RECEIVED not in look.counters and self.queue is None:
            return _NOBODY_COUNTS
        self.received = look.counters.get(RECEIVED, self.received)
        self.refused = look.counters.get(REFUSED, self.refused)  # that no running pod tells of it takes nothing back
        waiting = 0.0
        if self.queue is not None:
            told = look.gauges.get(self.queue)
            if not told:
                return _UNTOLD
            inside = math.fsum(look.gauges.get(INSIDE, ())) if self.queue == LAG else 0.0
            waiting = max(0.0, math.fsum(told) - inside)
        self._settle(self.received - self.refused + waiting, look.at_s)
        return self.most

    def _settle(self, seen: float, at_s: float) -> None:
        """Take what is seen of all that came."""
        if seen + self.lost >= self.most:
            self.most, self._settled_s = seen + self.lost, at_s
        elif self.queue is not None and at_s - self._settled_s > SETTLED_S:
            self.lost, self._settled_s = self.most - seen, at_s
