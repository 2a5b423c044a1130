"""Objects of the API server by their kind: one request each, sent by the client library's `ApiClient`.

The generated classes of that library are left aside: with the models that they import they take 30 MB, and each of
their methods builds a validator when it is called first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

CORE, APPS, AUTOSCALING = "api/v1", "apis/apps/v1", "apis/autoscaling/v2"
EVENTS, COORDINATION, KEDA = "apis/events.k8s.io/v1", "apis/coordination.k8s.io/v1", "apis/keda.sh/v1alpha1"
_JSON = "application/json"
_CONTENT = {"POST": _JSON, "PUT": _JSON, "PATCH": "application/merge-patch+json"}

Body = Mapping[str, Any]
Timeout = float | tuple[float, float]
"""Seconds for one request; or for the connection, and for each silence after it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of objects. Each method sends one request and gives the response, whose body is still to be read.

    Options are the API's query parameters with Python's spelling (`label_selector`). All methods raise ApiException
    where the server refuses, and what urllib3 raises where it cannot be asked.

    Attributes:
        api: a connection.
        group: path of the group and its version.
        plural: the kind's name in paths.
    """

    api: client.ApiClient
    group: str
    plural: str

    def list(self, namespace: str, *, timeout_s: Timeout, **options: str | int) -> urllib3.BaseHTTPResponse:
        """List or watch the objects of a namespace, or of the cluster if it is empty."""
        return self._send("GET", self._path(namespace), timeout_s, options)

    def read(self, name: str, namespace: str, *, timeout_s: Timeout) -> urllib3.BaseHTTPResponse:
        """Read one."""
        return self._send("GET", self._path(namespace, name), timeout_s, {})

    def create(
        self, namespace: str, body: Body, *, timeout_s: Timeout, **options: str | int
    ) -> urllib3.BaseHTTPResponse:
        """Make one."""
        return self._send("POST", self._path(namespace), timeout_s, options, body)

    def replace(
        self, name: str, namespace: str, body: Body, *, timeout_s: Timeout, **options: str | int
    ) -> urllib3.BaseHTTPResponse:
        """Write one anew."""
        return self._send("PUT", self._path(namespace, name), timeout_s, options, body)

    def patch(
        self, name: str, namespace: str, body: Body, *, timeout_s: Timeout, part: str = "", **options: str | int
    ) -> urllib3.BaseHTTPResponse:
        """Change what a merge patch says, of an object or of a subresource of it."""
        return self._send("PATCH", self._path(namespace, name, part), timeout_s, options, body)

    def _path(self, namespace: str, *names: str) -> str:
        where = ["namespaces", namespace] if namespace else []
        return "/".join(["", self.group, *(quote(each, safe="") for each in (*where, self.plural, *names) if each)])

    def _send(
        self, method: str, path: str, timeout_s: Timeout, options: Mapping[str, str | int], body: Body | None = None
    ) -> urllib3.BaseHTTPResponse:
        content = {"Content-Type": _CONTENT[method]} if method in _CONTENT else {}
        request = self.api.param_serialize(
            method,
            path,
            query_params=[(_camel(option), value) for option, value in options.items()],
            header_params={"Accept": _JSON, **content},
            body=body,
            auth_settings=["BearerToken"],
        )
        answered = self.api.call_api(*request, _request_timeout=timeout_s)
        if not 200 <= answered.status < 300:
            answered.read()  # type: ignore[no-untyped-call]
            raise ApiException.from_response(http_resp=answered, body=None, data=None)
        response: urllib3.BaseHTTPResponse = answered.response
        return response


def _camel(option: str) -> str:
    first, *others = option.strip("_").split("_")
    return first + "".join(map(str.capitalize, others))
