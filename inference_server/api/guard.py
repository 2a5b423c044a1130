"""The guard in front of `/v1` and `/api`: a valid token, within its subject's rate."""

from __future__ import annotations

import asyncio

from inference_server.access.rate import RateLimiter
from inference_server.access.tokens import Verifier
from inference_server.api.errors import refuse
from inference_server.errors import Refusal
from inference_server.telemetry.accounting import App, Receive, Scope, Send
from inference_server.telemetry.requests import SUBJECT

_GUARDED = ("/v1/", "/api/")


class Guard:
    """ASGI middleware. Probes, metrics and the page stay open."""

    def __init__(self, app: App, verifier: Verifier, limiter: RateLimiter | None) -> None:
        self._app = app
        self._verifier = verifier
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it before its body is read."""
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED):
            await self._app(scope, receive, send)
            return
        try:
            subject = await asyncio.to_thread(self._verifier.subject, dict(scope["headers"]))
            if self._limiter is not None:
                self._limiter.take(subject)
        except Refusal as refusal:
            await refuse(scope, refusal)(scope, receive, send)
            return
        scope.setdefault("state", {})[SUBJECT] = subject
        await self._app(scope, receive, send)
