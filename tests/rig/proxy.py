"""Between one controller and the API server: what a bad network and an ailing server do to requests."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from rig.control_plane import ControlPlane

_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host"})


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    method: str
    path: str

    @property
    def watch(self) -> bool:
        """Whether its answer has no end."""
        return "watch=" in self.path

    @property
    def scale(self) -> bool:
        """Whether it writes the size of a Deployment."""
        return self.method == "PATCH" and "/scale" in self.path

    def scales(self, deployment: str) -> bool:
        """Whether it writes the size of this Deployment."""
        return self.scale and f"/{deployment}/scale" in self.path


@dataclass(frozen=True)
class Treatment:
    """What happens to a request."""

    wait: Callable[[], object] = lambda: None
    """Before it goes on: a delay, or an event that lets it go."""
    status: int | None = None
    """Answered with this in the server's place."""
    cut: bool = False
    """The connection ends without an answer."""


WELL = Treatment()
CUT = Treatment(cut=True)


def delayed(seconds: float) -> Treatment:
    """It arrives late."""
    return Treatment(wait=lambda: time.sleep(seconds))


def refused(status: int) -> Treatment:
    """The server cannot."""
    return Treatment(status=status)


@dataclass
class Proxy:
    """A running proxy; `treat` may be changed at any time."""

    url: str
    treat: Callable[[Request], Treatment] = lambda _: WELL
    mute: bool = False
    """Answers of watches go nowhere from now on: a watch that lost one says nothing more, and stays open."""
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def heal(self) -> None:
        """Forward everything."""
        self.treat, self.mute = (lambda _: WELL), False

    def partition(self) -> None:
        """Nothing goes through, and open connections end."""
        self.treat = lambda _: CUT
        self.cut()

    def cut(self) -> None:
        """End open connections."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def connected(self, connection: socket.socket, *, now: bool) -> None:
        """Keep count of who is there."""
        with self._lock:
            (self._open.add if now else self._open.discard)(connection)


@contextmanager
def proxy(plane: ControlPlane) -> Iterator[Proxy]:
    """Stand in front of an API server until the block ends; whoever trusts the server trusts the proxy."""
    trust = ssl.create_default_context(cafile=plane.keys.authority)
    host, port = urlsplit(plane.url).hostname, urlsplit(plane.url).port

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            standing.connected(self.connection, now=True)

        def finish(self) -> None:
            standing.connected(self.connection, now=False)
            with suppress(OSError):
                super().finish()

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path)
            treatment = standing.treat(request)
            treatment.wait()
            if treatment.cut:
                self.close_connection = True
            elif treatment.status is not None:
                self._answer(treatment.status)
            else:
                try:
                    self._forward(request, body)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 — names of http.server

        def _answer(self, status: int) -> None:
            said = json.dumps({"kind": "Status", "code": status, "message": "by the proxy"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def _forward(self, request: Request, body: bytes) -> None:
            onward = http.client.HTTPSConnection(host or "", port, context=trust, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            try:
                onward.request(self.command, self.path, body or None, headers)
                answer = onward.getresponse()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                silent = False
                while piece := answer.read1(1 << 16):
                    silent = silent or (request.watch and standing.mute)
                    if not silent:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                if silent or (request.watch and standing.mute):
                    self.rfile.read(1)  # until the client goes
                    self.close_connection = True
                    return
                self.wfile.write(b"0\r\n\r\n")
            finally:
                onward.close()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(plane.keys.server.certificate, plane.keys.server.key)
    server.socket = own.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a connection that was cut is meant
    standing = Proxy(f"https://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield standing
    finally:
        server.shutdown()
        server.server_close()
        standing.cut()
        thread.join()
