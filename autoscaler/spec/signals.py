"""`signals:` where the policy's numbers come from."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from autoscaler.spec.base import Model, Text
from autoscaler.spec.promql import Measure, Signal, measured, syntax_error
from autoscaler.spec.values import Duration, DurationOrZero, PositiveReal


def _plain_url(url: str) -> str:
    allowed = "http(s)://host[:port][/path], without user or password: give those under auth"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(allowed) from None
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(allowed)
    return url


def _parses(query: str) -> str:
    error = syntax_error(query)
    if error is not None:
        raise ValueError(f"PromQL: {error}")
    return query


def _no_secrets(headers: dict[str, str]) -> dict[str, str]:
    """Checked as a whole: a value is not repeated in a message, for it may be a secret all the same."""
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name):
            raise ValueError(f"names of letters, digits and -, not {name!r}")
        if name.lower() in ("authorization", "proxy-authorization", "cookie", "host", "content-length"):
            raise ValueError(f"no {name}: credentials belong under auth")
        if not re.fullmatch(r"[\x20-\x7e]{0,512}", value):
            raise ValueError(f"one line of at most 512 ASCII characters for {name}")
    return headers


Headers = Annotated[dict[Text, str], AfterValidator(_no_secrets)]
Url = Annotated[str, AfterValidator(_plain_url)]
Query = Annotated[Text, AfterValidator(_parses)]


class BasicAuth(Model):
    """User and password of a Prometheus behind HTTP basic authentication."""

    username: Text
    """The user."""
    password_file: Text
    """A file that holds the password; read at every request, so that it can be rotated."""


class Tls(Model):
    """How the server's certificate is checked, and the client's own."""

    ca_file: Text | None = None
    """Certificates to trust instead of the system's."""
    cert_file: Text | None = None
    """The client's certificate."""
    key_file: Text | None = None
    """The key to the client's certificate."""


class Auth(Model):
    """Credentials, always by reference: a policy file holds no secret."""

    bearer_token_file: Text | None = None
    """A file that holds the token, such as a mounted service account token."""
    basic: BasicAuth | None = None
    tls: Tls | None = None


class Prometheus(Model):
    """The server that is asked."""

    url: Url = Field(default="http://prometheus:9090", examples=["http://prometheus.monitoring:9090"])
    """Address of the HTTP API, without user and password."""
    preset: Literal["speech", "vllm", "triton", "torchserve"] = "speech"
    """Whose metric names are read: `speech` is the inference server of this project. vLLM and Triton count answers, not
    arrivals: while a queue grows their rate lags behind."""
    auth: Auth | None = None
    headers: Headers = Field(default_factory=dict, examples=[{"X-Scope-OrgID": "speech"}])
    """Sent with every request, such as the tenant of a shared store. No secrets: those belong under `auth`."""
    scrape_interval_s: Duration | None = Field(default=None, alias="scrapeInterval", examples=["15s"])
    """How often the target is scraped, where windows shall be checked against it; the measured one rules."""
    stale_after_s: Duration = Field(default=60.0, alias="staleAfter")
    """A newest sample older than this says nothing about now, and nothing shrinks on it."""


class Metric(Model):
    """One number that a peer's rule asks for by name: a signal of the preset, or a query."""

    signal: Signal | None = None
    """What is measured."""
    window_s: DurationOrZero | None = Field(default=None, alias="window", examples=["60s"])
    """Averaged over this long; 0s is the newest sample (the newest two for a rate). Needed with `signal`."""
    factor: PositiveReal = 1.0
    """The reading is multiplied by this: a rate times the mean service time in seconds gives busy pods."""
    query: Query | None = None
    """PromQL with one series as its answer. It can be replayed where it is a signal in disguise, such as
    `sum(rate(speech_requests_received_total[1m]))`; `autoscaler check` says so."""

    def measure(self) -> Measure | str:
        """What this reads in a replay, or why it cannot be replayed."""
        if self.query is not None:
            return measured(self.query)
        if self.signal is None or self.window_s is None:
            raise ValueError("a metric has a signal with its window, or a query")
        return Measure(self.signal, self.window_s, self.factor)


class Signals(Model):
    """Where the policy's numbers come from."""

    prometheus: Prometheus = Prometheus()
    metrics: dict[str, Metric] = Field(default_factory=dict)
    """The names that `policy.metrics` uses. Defaults fit the inference server; every query can be replaced."""
