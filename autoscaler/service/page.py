"""The status page: one document that needs nothing but the controller that serves it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Page:
    """The document, and what a browser may run and load for it."""

    body: bytes
    policy: str


@cache
def status_page() -> Page:
    """The page with a Content-Security-Policy that admits its own script and style, and nothing else."""
    text = resources.files("autoscaler.service").joinpath("page.html").read_text(encoding="utf-8")
    script = _digest(re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[0])
    policy = (
        f"default-src 'none'; script-src {script}; style-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(text.encode(), policy)


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
