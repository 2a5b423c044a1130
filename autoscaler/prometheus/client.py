"""Prometheus's HTTP API: prometheus-api-client with what it leaves open closed.

Left to itself that library has no time-out, retries past any tick, rounds a range to whole seconds, and
drops `status` and `warnings`. Here every request ends within its time, an answer is bounded in size,
parsed once and checked, and nothing is retried: the next tick asks again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.auth import AuthBase

from autoscaler.model import InvalidInput, Unreachable

MAX_POINTS = 10_000
"""Points of one range query; Prometheus refuses more than 11,000 a series (web/api/v1/api.go)."""
_READ_BYTES = 1 << 16
_SHOWN = 300
"""Characters of a query in a message: one that is shared names many targets."""
_REFUSED = (400, 422)
"""Prometheus's codes for a query that cannot be parsed and one that cannot be carried out."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a Prometheus is and how to be let in.

    Token and password are files, read again for each request, so that a rotated secret is used at once;
    certificates are read again for each new connection.
    """

    url: str
    timeout_s: float = 3.0
    """For one whole request, the body included."""
    max_answer_bytes: int = 64 << 20
    """After decompression."""
    token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    ca_file: Path | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with every request, such as the tenant of a shared store."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(f"prometheus url: {self.url!r} — an http:// or https:// address")
        if parts.username or parts.password:
            raise InvalidInput("prometheus url: holds credentials — give a user name and a password file instead")
        if self.token_file and self.username:
            raise InvalidInput("prometheus: a bearer token or a user name, not both")
        if bool(self.username) != bool(self.password_file):
            raise InvalidInput("prometheus: a user name and a password file belong together")
        if self.client_key_file and not self.client_cert_file:
            raise InvalidInput("prometheus: a client key needs its certificate")


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: its labels (the name is `__name__`) and its samples, oldest first."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]
    """Time in seconds since the epoch, value."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus said."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    """Not empty: the answer is partial."""


class TooLarge(Unreachable):
    """An answer beyond the bound: less at once may be answered."""


class Prometheus:
    """One Prometheus. Not to be shared between threads: it holds one HTTP session.

    Both queries raise Unreachable where no usable answer came within the time (refused connection, time-out,
    5xx, 429, 401, a redirect, anything but JSON; TooLarge for too large an answer) and InvalidInput where Prometheus
    understood and refused the query itself.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._transport = _Transport(access)
        self._api = PrometheusConnect(
            url=access.url.rstrip("/"),
            headers=dict(access.headers),
            auth=_auth(access),
            retry=urllib3.Retry(0),
            timeout=access.timeout_s,
            session=self._transport,
        )

    def query(self, promql: str, at_s: float | None = None) -> Answer:
        """An instant query; a range selector such as `metric[1m]` gives raw samples with their own times.

        Args:
            promql: an expression that selects series.
            at_s: when to evaluate it; the server's own present if None.
        """
        params = {"timeout": f"{self._access.timeout_s:g}s"}
        if at_s is not None:
            params["time"] = f"{at_s:.3f}"
        with _explained(self._access.url, promql):
            self._api.custom_query(promql, params)
            return self._transport.answer()

    def query_range(self, promql: str, start_s: float, end_s: float, step_s: float) -> Iterator[Answer]:
        """A range query in chunks of at most `MAX_POINTS` points a series, oldest first.

        Points lie at `start_s + k * step_s` up to and including `end_s`, none twice.

        Raises:
            ValueError: for a step that is not positive or an end before the start.
        """
        if not step_s > 0 or not end_s >= start_s:
            raise ValueError(f"no points from {start_s} to {end_s} in steps of {step_s}")
        last = int((end_s - start_s) / step_s + 1e-9)
        for first in range(0, last + 1, MAX_POINTS):
            begin_s = start_s + first * step_s
            finish_s = start_s + min(first + MAX_POINTS - 1, last) * step_s
            yield self._range(promql, begin_s, finish_s, step_s)

    def _range(self, promql: str, start_s: float, end_s: float, step_s: float) -> Answer:
        exact = {  # in place of the library's own, which it rounds to whole seconds
            "start": f"{start_s:.3f}",
            "end": f"{end_s:.3f}",
            "timeout": f"{self._access.timeout_s:g}s",
        }
        begin, end = (datetime.fromtimestamp(at_s, UTC) for at_s in (start_s, end_s))
        with _explained(self._access.url, promql):
            self._api.custom_query_range(promql, begin, end, f"{step_s:.3f}", exact)
            return self._transport.answer()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


@contextmanager
def _explained(url: str, promql: str) -> Iterator[None]:
    """Turn what the libraries raise into the two errors that callers know."""
    try:
        yield
    except _Refused as error:
        shown = promql if len(promql) <= _SHOWN else f"{promql[:_SHOWN]}…"
        raise InvalidInput(f"{url} refused the query `{shown}`: {error}") from None
    except _TooLarge as error:
        raise TooLarge(f"prometheus at {url}: {error}") from error
    except (OSError, urllib3.exceptions.HTTPError, PrometheusApiClientException, _Unusable) as error:
        raise Unreachable(f"prometheus at {url}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS: {_cause(error)}"
    if isinstance(error, requests.ConnectionError):
        return f"no connection: {_cause(error)}"
    return str(error)


def _cause(error: BaseException) -> str:
    """The innermost message: the libraries wrap it three times."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return str(inner)


class _Unusable(Exception):
    """An answer that is none."""


class _TooLarge(_Unusable):
    """More than we take."""


class _Refused(Exception):
    """Prometheus understood the request and will not carry out the query."""


class _BearerFile(AuthBase):
    """A token that is read again for each request: service account tokens rotate."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._path.read_text().strip()}"
        return request


class _PasswordFile(AuthBase):
    """Basic authentication with a password that is read again for each request."""

    def __init__(self, username: str, path: Path) -> None:
        self._username = username
        self._path = path

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        password = self._path.read_text().rstrip("\r\n")
        return requests.auth.HTTPBasicAuth(self._username.encode(), password.encode())(request)


def _auth(access: Access) -> AuthBase | None:
    if access.token_file:
        return _BearerFile(access.token_file)
    if access.username and access.password_file:
        return _PasswordFile(access.username, access.password_file)
    return None


class _Body(msgspec.Struct):
    """The body of a response; anything in it may be of another kind than it should be."""

    status: Any = ""
    error: Any = ""
    warnings: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Data(msgspec.Struct, rename="camel"):
    """The series of a success, each as it came: all of them parsed at once would be ten times as large."""

    result_type: Any
    result: list[msgspec.Raw]


class _Result(msgspec.Struct):
    """One series: of a range, or of an instant."""

    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


_BODIES = msgspec.json.Decoder(_Body)
_DATA = msgspec.json.Decoder(_Data)
_RESULTS = msgspec.json.Decoder(_Result)


class _Taken:
    """What prometheus-api-client is told of a success: we read the series ourselves."""

    status_code = 200

    @staticmethod
    def json() -> dict[str, Any]:
        return {"data": {"result": []}}


class _Transport:
    """The session that prometheus-api-client sends through: bounded in time and size, parsed once, checked.

    Redirects are not followed: credentials and tenants belong to the address that was configured.
    """

    def __init__(self, access: Access) -> None:
        self._timeout_s = access.timeout_s
        self._max_bytes = access.max_answer_bytes
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, CA or netrc that the policy does not name
        self.verify: str | bool = str(access.ca_file) if access.ca_file else True
        self.cert = _cert(access)
        self._answered: tuple[list[msgspec.Raw], tuple[str, ...]] = [], ()

    def mount(self, prefix: str, adapter: requests.adapters.HTTPAdapter) -> None:
        """Use an adapter for addresses that begin so."""
        self._session.mount(prefix, adapter)

    def request(self, **arguments: Any) -> _Taken:  # noqa: ANN401 — requests' own keywords
        """Send one request and read its answer whole."""
        deadline_s = time.monotonic() + self._timeout_s
        with self._session.request(**arguments, stream=True, allow_redirects=False) as response:
            body = _read(response.raw, self._max_bytes, deadline_s)
            status, kind = response.status_code, response.headers.get("Content-Type", "")
        self._answered = _checked(status, kind, body)
        return _Taken()

    def answer(self) -> Answer:
        """The last answer, with what the library leaves out; it is given once."""
        (results, warnings), self._answered = self._answered, ([], ())
        known: dict[Any, Any] = {}
        return Answer(tuple([_series(result, known) for result in results]), warnings)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _cert(access: Access) -> tuple[str, str] | str | None:
    if not access.client_cert_file:
        return None
    if not access.client_key_file:
        return str(access.client_cert_file)
    return str(access.client_cert_file), str(access.client_key_file)


def _read(raw: urllib3.HTTPResponse, max_bytes: int, deadline_s: float) -> bytearray:
    """A body that arrives in time and within its bound; each read gives what is there, so drops cannot hold us."""
    body = bytearray()
    while chunk := raw.read1(_READ_BYTES, decode_content=True):
        body += chunk
        if len(body) > max_bytes:
            raise _TooLarge(f"an answer of more than {max_bytes} bytes")
        if time.monotonic() > deadline_s:
            raise _Unusable("the answer did not end in time")
    return body


def _checked(status: int, content_type: str, body: bytes | bytearray) -> tuple[list[msgspec.Raw], tuple[str, ...]]:
    """Series, unparsed, and warnings of a success.

    Raises:
        _Refused: Prometheus says that the query itself is wrong.
        _Unusable: anything else.
    """
    try:
        told = _BODIES.decode(body)
    except msgspec.ValidationError:
        raise _Unusable(f"HTTP {status} with JSON that is no object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Unusable(f"HTTP {status} with {content_type or 'no type'} instead of JSON") from None
    error = str(told.error or "")[:500]
    if status in _REFUSED and error:
        raise _Refused(error)
    if status != requests.codes.ok:
        raise _Unusable(f"HTTP {status} {error}".rstrip())
    if told.status != "success":
        raise _Unusable(f"an answer without success {error}".rstrip())
    try:
        data = _DATA.decode(told.data)
    except msgspec.ValidationError:
        raise _Unusable("a success without a result") from None
    if data.result_type not in ("vector", "matrix"):
        raise _Refused(f"the query gives a {data.result_type}, not series")
    warnings = told.warnings if isinstance(told.warnings, list) else []
    return data.result, tuple(str(warning) for warning in warnings)


def _series(raw: msgspec.Raw, known: dict[Any, Any]) -> Series:
    """One series; what others have too, names, labels and times, is one object for all of them, kept in `known`."""
    try:
        result = _RESULTS.decode(raw)
        pairs = result.values or ([result.value] if result.value else [])
        one = known.setdefault
        labels = {one(name, name): one(text, text) for name, text in result.metric.items()}
        return Series(labels, tuple([(one(at_s, at_s), float(value)) for at_s, value in pairs]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _Unusable(f"a malformed series: {error}") from error
