"""What the client libraries raise, as this package knows it."""

import socket
from datetime import timedelta

import pytest
from kubernetes import client
from kubernetes.config.incluster_config import SERVICE_HOST_ENV_NAME, SERVICE_PORT_ENV_NAME, InClusterConfigLoader

from autoscaler.cluster.api import RefusedError, TimedOut, answer, kind_of
from autoscaler.cluster.kinds import CORE, Kind
from autoscaler.model import Unreachable


def pods(api):
    return Kind(api, CORE, "pods")


@pytest.fixture
def in_cluster(tmp_path):
    """A connection of a pod whose token has to be read again at each request, and the file it is in."""
    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    certificate.write_text("not asked for")
    here = {SERVICE_HOST_ENV_NAME: "127.0.0.1", SERVICE_PORT_ENV_NAME: "1"}
    loader = InClusterConfigLoader(token_filename=str(token), cert_filename=str(certificate), environ=here)
    loader._token_refresh_period = timedelta(0)
    settings = client.Configuration()
    loader.load_and_set(settings)
    settings.host, settings.ssl_ca_cert, settings.retries = "http://127.0.0.1:1", None, False
    return pods(client.ApiClient(settings)), token


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda token: token.write_text(""), "Token file exists but empty", id="empty"),
        pytest.param(lambda token: token.unlink(), "No such file", id="gone"),
    ],
)
def test_a_token_that_cannot_be_read_is_an_api_server_that_cannot_be_asked(in_cluster, spoil, said):
    asked, token = in_cluster
    spoil(token)
    with pytest.raises(Unreachable, match=f"API server: .*{said}"):
        answer(asked.list, "voice", timeout_s=1.0)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RefusedError(401, ""), "forbidden"),
        (RefusedError(403, ""), "forbidden"),
        (RefusedError(404, ""), "not found"),
        (RefusedError(409, ""), "conflict"),
        (RefusedError(422, ""), "refused"),
        (RefusedError(429, ""), "throttled"),
        (RefusedError(500, ""), "server error"),
        (RefusedError(503, ""), "server error"),
        (TimedOut(""), "timeout"),
        (Unreachable(""), "unreachable"),
    ],
)
def test_what_goes_wrong_is_of_a_small_set_of_kinds(error, kind):
    assert kind_of(error) == kind


@pytest.fixture
def silent():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = client.Configuration(host=f"http://127.0.0.1:{server.getsockname()[1]}")
        settings.retries = False
        yield pods(client.ApiClient(settings))


def test_a_server_that_does_not_answer_in_time_is_told_from_one_that_is_not_there(silent, in_cluster):
    with pytest.raises(TimedOut):
        answer(silent.list, "voice", timeout_s=0.1)
    with pytest.raises(Unreachable) as refused:
        answer(in_cluster[0].list, "voice", timeout_s=1.0)
    assert kind_of(refused.value) == "unreachable"
