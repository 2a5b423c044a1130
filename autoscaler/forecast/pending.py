"""What was said of windows that are not over yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Pending(Generic[T]):
    """What was said before each of the last intervals, None where nothing was; oldest first. Updated in place."""

    made: deque[T | None] = field(default_factory=deque)
    _latest: T | None = None

    def note(self, said: T) -> None:
        """Said now; what was said before it in the same interval gives way."""
        self._latest = said

    def interval_ended(self) -> None:
        """What was said last was said before this interval."""
        self.made.append(self._latest)
        self._latest = None

    def oldest(self) -> T | None:
        """What was said of the windows that are over now; it is pending no longer."""
        return self.made.popleft()

    def forget(self) -> None:
        """Nothing that is pending will be judged."""
        self.made.clear()
        self._latest = None
