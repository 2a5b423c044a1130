"""A real Prometheus behind TLS on both sides and a password."""

import pytest
import yaml
from rig import programs
from rig.certificates import Authority
from rig.processes import wait_for
from rig.prometheus import prometheus_server

from autoscaler.model import Unreachable
from autoscaler.prometheus.client import Access, Prometheus

pytestmark = pytest.mark.prometheus

PASSWORD = "open sesame"
BCRYPT = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"


@pytest.fixture(scope="module", params=["2", "3"], ids=["prometheus-2", "prometheus-3"])
def guarded(request, tmp_path_factory):
    """Its address, and what opens it."""
    folder = tmp_path_factory.mktemp("guarded")
    authority = Authority(folder)
    server, me = authority.sign("server", hosts=("127.0.0.1",)), authority.sign("me")
    tls = {
        "cert_file": str(server.certificate),
        "key_file": str(server.key),
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": str(authority.certificate),
    }
    web = folder / "web.yml"
    web.write_text(yaml.safe_dump({"tls_server_config": tls, "basic_auth_users": {"me": BCRYPT}}))
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    keys = {
        "ca_file": authority.certificate,
        "client_cert_file": me.certificate,
        "client_key_file": me.key,
        "username": "me",
        "password_file": password,
    }
    try:
        with prometheus_server(request.param, folder, web=web) as running:
            wait_for("it to answer", lambda: _answers(running.url, keys))
            yield running.url, keys
    except programs.Absent as missing:
        pytest.skip(f"needs Prometheus {request.param}: {missing}")


def _answers(url, keys):
    try:
        return Prometheus(Access(url, **keys)).query("vector(1)").series
    except Unreachable:
        return ()


def test_with_certificate_and_password_it_answers(guarded):
    url, keys = guarded
    assert Prometheus(Access(url, **keys)).query("vector(1)").series[0].samples[0][1] == 1.0


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        pytest.param(("username", "password_file"), "HTTP 401", id="no password"),
        pytest.param(("client_cert_file", "client_key_file"), "TLS|no connection", id="no certificate"),
        pytest.param(("ca_file",), "TLS|no connection", id="no authority"),
    ],
)
def test_without_any_of_them_it_does_not(guarded, lacks, says):
    url, keys = guarded
    with pytest.raises(Unreachable, match=says):
        Prometheus(Access(url, **{name: value for name, value in keys.items() if name not in lacks})).query("vector(1)")


def test_a_wrong_password_is_refused_and_the_right_one_used_as_soon_as_it_is_written(guarded, tmp_path):
    url, keys = guarded
    file = tmp_path / "password"
    file.write_text("open barley")
    client = Prometheus(Access(url, **keys | {"password_file": file}))
    with pytest.raises(Unreachable, match="HTTP 401"):
        client.query("vector(1)")
    file.write_text(PASSWORD)
    assert client.query("vector(1)").series
