"""`/`: a page to try the model, in one file, that asks nobody but this server for anything."""

from __future__ import annotations

import html
import secrets
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from inference_server.serving.service import AnyService


def page_routes(service: AnyService) -> APIRouter:
    """`GET /`."""
    router = APIRouter(include_in_schema=False)
    template = (files("inference_server.api") / "page.html").read_text(encoding="utf-8")
    filled = template.replace("{{kind}}", service.engine.kind).replace("{{model}}", html.escape(service.engine.model))

    @router.get("/")
    async def page() -> HTMLResponse:
        """Record or upload sound, or type a text."""
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(
            filled.replace("{{nonce}}", nonce),
            headers={"content-security-policy": policy, "referrer-policy": "no-referrer"},
        )

    return router
