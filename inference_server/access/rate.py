"""How often one subject may ask: a token bucket each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from inference_server.errors import Refusal


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests per second in the long run, and how many may come at once."""

    rps: float
    burst: int


class RateLimiter:
    """Not thread-safe: used from the event loop.

    Args:
        rate: of every subject.
        clock: seconds.
        most_subjects: remembered; the one that was silent longest is forgotten first, which fills its bucket.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic, most_subjects: int = 10_000) -> None:
        self._rate = rate
        self._clock = clock
        self._most_subjects = most_subjects
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, as of when

    def take(self, subject: str) -> None:
        """Count one request.

        Raises:
            Refusal: 429 with the time until the next is allowed.
        """
        now_s = self._clock()
        tokens, since_s = self._buckets.pop(subject, (float(self._rate.burst), now_s))
        tokens = min(self._rate.burst, tokens + (now_s - since_s) * self._rate.rps)
        allowed = tokens >= 1.0
        self._buckets[subject] = (tokens - allowed, now_s)
        if len(self._buckets) > self._most_subjects:
            self._buckets.popitem(last=False)
        if not allowed:
            wait_s = max(1, ceil((1.0 - tokens) / self._rate.rps))
            raise Refusal(
                429,
                "rate_limited",
                f"at most {self._rate.rps:g} requests/s",
                code="rate_limit_exceeded",
                retry_after_s=wait_s,
            )
