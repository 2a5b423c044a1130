"""The port for probes, scrapers and people."""

import errno
import json
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry
from rig.processes import wait_for
from structlog.testing import capture_logs

from autoscaler.model import InvalidInput
from autoscaler.service.endpoint import Endpoint


@pytest.fixture
def endpoint():
    checks = {"/healthz": lambda: None, "/readyz": lambda: "who leads: 403"}
    report = {None: {"targets": []}, "voice/tts": {"target": "voice/tts"}}.get
    serving = Endpoint("127.0.0.1", 0, CollectorRegistry(), checks, report)
    serving.start()
    yield serving
    serving.stop()


def get(endpoint, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/healthz", 200, "ok\n"),
        ("/readyz", 503, "who leads: 403\n"),
        ("/nowhere", 404, "/ /status.json /healthz /readyz /metrics\n"),
        ("/healthz?verbose=1", 200, "ok\n"),
    ],
)
def test_pages(endpoint, path, status, says):
    assert get(endpoint, path) == (status, says)


@pytest.mark.parametrize(
    ("query", "status", "found"),
    [
        pytest.param("", 200, {"targets": []}, id="all"),
        pytest.param("?target=voice/tts", 200, {"target": "voice/tts"}, id="one"),
        pytest.param("?target=voice%2Ftts&target=x", 200, {"target": "voice/tts"}, id="the first of several"),
        pytest.param("?target=../../etc/passwd", 404, {"error": "no such target"}, id="one that nobody knows"),
    ],
)
def test_reports(endpoint, query, status, found):
    code, text = get(endpoint, f"/status.json{query}")
    assert (code, json.loads(text)) == (status, found)


def test_it_listens_where_there_is_only_ipv6():
    try:
        serving = Endpoint("::1", 0, CollectorRegistry(), {"/healthz": lambda: None}, {}.get)
    except InvalidInput as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRNOTAVAIL:
            raise
        pytest.skip("needs IPv6 on this machine")
    serving.start()
    try:
        with urllib.request.urlopen(f"http://[::1]:{serving.port}/healthz", timeout=5) as answer:
            assert answer.read() == b"ok\n"
    finally:
        serving.stop()


def test_whoever_hangs_up_leaves_no_traceback(endpoint, capfd):
    with capture_logs() as logs:
        for asked in (b"GET /metrics HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\xff\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", endpoint.port)) as caller:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
                caller.sendall(asked)
        wait_for("it to serve others", lambda: get(endpoint, "/healthz")[0] == 200)
    assert logs == []
    assert capfd.readouterr().err == ""


def test_an_address_that_is_taken_is_named(endpoint):
    with pytest.raises(InvalidInput, match=f"127.0.0.1:{endpoint.port}: cannot be listened on: Address already in use"):
        Endpoint("127.0.0.1", endpoint.port, CollectorRegistry(), {}, lambda _: None)
