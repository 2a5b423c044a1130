"""The port for probes, scrapers and people: /healthz, /readyz, /metrics, and the status page; read-only."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from autoscaler.model import InvalidInput
from autoscaler.service.page import status_page

Check = Callable[[], str | None]
"""What is wrong; None where all is well."""
Report = Callable[[str | None], Mapping[str, Any] | None]
"""Figures of one target, or of all for None; None for a target that nobody knows."""
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_log = structlog.get_logger(__name__)


class _Server(ThreadingHTTPServer):
    """One thread a connection; whoever hangs up in the middle of an answer is worth no traceback among log lines."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Called within an exception's handling."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            _log.error("a page could not be served", client=str(client_address), exc_info=error)


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class Endpoint:
    """Serves until it is stopped, in a thread of its own.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        registry: what /metrics shows.
        checks: by path, such as `/healthz`; a check that names something answers 503 with it.
        report: what the status page shows.

    Raises:
        InvalidInput: the address is taken, or not this machine's.
    """

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, checks: Mapping[str, Check], report: Report
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                if path == "/metrics":
                    self._send(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif path in checks:
                    wrong = checks[path]()
                    self._send(503 if wrong else 200, _TEXT, f"{wrong or 'ok'}\n".encode())
                elif path == "/":
                    page = status_page()
                    self._send(200, "text/html; charset=utf-8", page.body, {"Content-Security-Policy": page.policy})
                elif path == "/status.json":
                    self._report(parse_qs(query).get("target", [None])[0])
                else:
                    self._send(404, _TEXT, b"/ /status.json /healthz /readyz /metrics\n")

            def _report(self, target: str | None) -> None:
                found = report(target)
                if found is None:
                    self._send(404, _JSON, b'{"error": "no such target"}')
                else:
                    self._send(200, _JSON, orjson.dumps(found))

            def _send(self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {
                    "Content-Type": kind,
                    "Content-Length": str(len(body)),
                    "Cache-Control": "no-store",
                    "X-Content-Type-Options": "nosniff",
                    "Referrer-Policy": "no-referrer",
                    **(headers or {}),
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Probes come every few seconds: not worth a line."""

        server = _ServerV6 if ":" in host else _Server
        try:
            self._server = server((host, port), Handler)
        except OSError as error:
            raise InvalidInput(f"{host}:{port}: cannot be listened on: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
