"""What the client libraries raise, as this package knows it."""

from datetime import timedelta

import pytest
from kubernetes import client
from kubernetes.config.incluster_config import SERVICE_HOST_ENV_NAME, SERVICE_PORT_ENV_NAME, InClusterConfigLoader

from autoscaler.cluster.api import answer
from autoscaler.model import Unreachable


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
    return client.CoreV1Api(client.ApiClient(settings)), token


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda token: token.write_text(""), "Token file exists but empty", id="empty"),
        pytest.param(lambda token: token.unlink(), "No such file", id="gone"),
    ],
)
def test_a_token_that_cannot_be_read_is_an_api_server_that_cannot_be_asked(in_cluster, spoil, said):
    core, token = in_cluster
    spoil(token)
    with pytest.raises(Unreachable, match=f"API server: .*{said}"):
        answer(core.list_namespaced_pod, "voice", timeout_s=1.0)
