"""What is sent to the API server for objects of a kind."""

from types import SimpleNamespace

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from autoscaler.cluster.kinds import APPS, COORDINATION, CORE, Kind

HOST = "http://api"


class Recording(client.ApiClient):
    """Sends nothing; what it is given to send is kept."""

    def __init__(self, status=200):
        super().__init__(client.Configuration(host=HOST))
        self.configuration.api_key = {"authorization": "Bearer t0ken"}
        self.status = status
        self.sent = []

    def call_api(self, method, url, header_params=None, body=None, post_params=None, _request_timeout=None):
        self.sent.append((method, url.removeprefix(HOST), header_params, body, _request_timeout))
        return SimpleNamespace(
            status=self.status, response="the response", data=b"", reason="no", read=lambda: b"", headers={}
        )


@pytest.mark.parametrize(
    ("group", "plural", "ask", "sent"),
    [
        pytest.param(
            CORE,
            "configmaps",
            lambda kind: kind.list("voice", label_selector="a=b,c=d", _continue="more", limit=500, timeout_s=3.0),
            ("GET", "/api/v1/namespaces/voice/configmaps?labelSelector=a%3Db%2Cc%3Dd&continue=more&limit=500"),
            id="a page of a list",
        ),
        pytest.param(
            APPS,
            "deployments",
            lambda kind: kind.list("voice", watch=True, allow_watch_bookmarks=True, timeout_s=(3.0, 60.0)),
            ("GET", "/apis/apps/v1/namespaces/voice/deployments?watch=true&allowWatchBookmarks=true"),
            id="a watch",
        ),
        pytest.param(
            CORE, "nodes", lambda kind: kind.list("", timeout_s=3.0), ("GET", "/api/v1/nodes"), id="of the cluster"
        ),
        pytest.param(
            COORDINATION,
            "leases",
            lambda kind: kind.read("speech-autoscaler", "here", timeout_s=3.0),
            ("GET", "/apis/coordination.k8s.io/v1/namespaces/here/leases/speech-autoscaler"),
            id="one",
        ),
        pytest.param(
            CORE,
            "configmaps",
            lambda kind: kind.read("../secrets/key?x", "voice", timeout_s=3.0),
            ("GET", "/api/v1/namespaces/voice/configmaps/..%2Fsecrets%2Fkey%3Fx"),
            id="a name that is a path stays a name",
        ),
        pytest.param(
            CORE,
            "configmaps",
            lambda kind: kind.create("voice", {"data": {}}, timeout_s=3.0),
            ("POST", "/api/v1/namespaces/voice/configmaps", "application/json", {"data": {}}),
            id="made",
        ),
        pytest.param(
            COORDINATION,
            "leases",
            lambda kind: kind.replace("l", "here", {"spec": {}}, timeout_s=3.0),
            ("PUT", "/apis/coordination.k8s.io/v1/namespaces/here/leases/l", "application/json", {"spec": {}}),
            id="written anew",
        ),
        pytest.param(
            APPS,
            "deployments",
            lambda kind: kind.patch("tts", "voice", {"spec": 1}, part="scale", field_manager="us", timeout_s=3.0),
            (
                *("PATCH", "/apis/apps/v1/namespaces/voice/deployments/tts/scale?fieldManager=us"),
                *("application/merge-patch+json", {"spec": 1}),
            ),
            id="a part changed",
        ),
    ],
)
def test_a_request_is_the_apis(group, plural, ask, sent):
    api = Recording()
    assert ask(Kind(api, group, plural)) == "the response"
    [(method, url, headers, body, _)] = api.sent
    content = [headers["Content-Type"], body] if "Content-Type" in headers else []
    assert (method, url, *content) == sent
    assert (headers["Accept"], headers["authorization"]) == ("application/json", "Bearer t0ken")


def test_each_request_is_bounded_in_time():
    api = Recording()
    Kind(api, CORE, "pods").list("voice", timeout_s=(1.0, 60.0))
    assert api.sent[0][-1] == (1.0, 60.0)


@pytest.mark.parametrize("status", [304, 404, 409, 500])
def test_what_is_no_success_is_raised(status):
    with pytest.raises(ApiException) as refused:
        Kind(Recording(status), CORE, "pods").read("a", "voice", timeout_s=3.0)
    assert refused.value.status == status
