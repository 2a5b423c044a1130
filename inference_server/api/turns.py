"""One request after the other through the expensive part of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Lets one request go on in each pass of the event loop, in order of arrival.

    Parsing an upload takes about a millisecond of the loop. Of a burst, asyncio would parse all before it looks at the
    sockets again, and a probe would wait for the whole burst; so it waits for one request only.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False

    async def take(self) -> None:
        """Return in a pass of the loop that no other request has taken."""
        loop = asyncio.get_running_loop()
        if self._taken:
            turn = loop.create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._taken = True
            loop.call_soon(self._pass_on, loop)

    def _pass_on(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled otherwise
                turn.set_result(None)
                loop.call_soon(self._pass_on, loop)
                return
        self._taken = False
