"""A web server that answers as a test says: what a broken Prometheus, proxy or login page sends."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What to send back; `body` is sent piece by piece, so a generator can be slow."""

    body: bytes | Iterator[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass
class Website:
    """Where it listens and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


def reply(document: Any, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(json.dumps(document).encode(), status)


@contextmanager
def website(answer: Callable[[Asked], Reply], tls: ssl.SSLContext | None = None) -> Iterator[Website]:
    """Serve on a free port of loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = Asked(self.path, dict(self.headers))
            site.asked.append(asked)
            sent = answer(asked)
            self.send_response(sent.status)
            for name, value in sent.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                for piece in [sent.body] if isinstance(sent.body, bytes) else sent.body:
                    self.wfile.write(piece)
            except OSError:
                return  # the client had enough: that is what some tests want

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site = Website(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
