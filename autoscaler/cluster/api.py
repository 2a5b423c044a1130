"""The Kubernetes API as this package uses it: bounded in time, never retried below, answers as plain objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from autoscaler.model import InvalidInput, Unreachable

FIELD_MANAGER = "speech-autoscaler"
CONNECTIONS = 32
"""Watches hold one each, five a namespace."""
_KINDS = {401: "forbidden", 403: "forbidden", 404: "not found", 409: "conflict", 429: "throttled"}
_IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class RefusedError(Exception):
    """The API server answered and said no.

    Attributes:
        status: HTTP status code.
        message: what the server said.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class TimedOut(Unreachable):
    """The API server did not answer in time; what was asked for may have been done."""


def kind_of(error: RefusedError | Unreachable) -> str:
    """What went wrong with a request, of a small fixed set."""
    if not isinstance(error, RefusedError):
        return "timeout" if isinstance(error, TimedOut) else "unreachable"
    return "server error" if error.status >= 500 else _KINDS.get(error.status, "refused")


def connect(kubeconfig: Path | None = None) -> client.ApiClient:
    """A client for a kubeconfig file, or for the cluster this process runs in.

    Raises:
        InvalidInput: the file is missing or unusable, or this process runs in no cluster.
    """
    settings = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        where = kubeconfig or "no --kubeconfig, and not in a cluster"
        raise InvalidInput(f"{where}: {error}") from error
    settings.retries = False  # a write must not be sent twice; the tick tries again, knowingly
    settings.connection_pool_maxsize = CONNECTIONS
    return client.ApiClient(settings)


def manager_of(namespace: str) -> str:
    """The field manager of the controller in a namespace: a second controller elsewhere is somebody else."""
    return f"{FIELD_MANAGER}.{namespace}"


def own_namespace(kubeconfig: Path | None = None) -> str:
    """The namespace of the kubeconfig's context or of this process's pod, else `default`."""
    if kubeconfig is not None:
        _, context = config.list_kube_config_contexts(str(kubeconfig))  # type: ignore[no-untyped-call]
        return str(context["context"].get("namespace", "default"))
    return _IN_CLUSTER_NAMESPACE.read_text().strip() if _IN_CLUSTER_NAMESPACE.exists() else "default"


def answer(call: Callable[..., Any], *arguments: Any, timeout_s: float, **options: Any) -> Any:  # noqa: ANN401
    """What a method of a `Kind` answers, parsed.

    Raises:
        RefusedError: the server refused (404, 409, 403, 422, 429, 5xx …).
        Unreachable: no usable answer in time.
    """
    with translated():
        return orjson.loads(call(*arguments, timeout_s=timeout_s, **options).data)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the client libraries raise into RefusedError and Unreachable, of a time-out TimedOut."""
    try:
        yield
    except ApiException as error:
        if not error.status:
            raise Unreachable(f"API server: {error.reason}") from error
        raise RefusedError(error.status, _message(error)) from error
    except (urllib3.exceptions.HTTPError, orjson.JSONDecodeError, OSError, config.ConfigException) as error:
        late = isinstance(error, urllib3.exceptions.TimeoutError)
        refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # which is a TimeoutError there
        raise (TimedOut if late and not refused else Unreachable)(f"API server: {error}") from error


def _message(error: ApiException) -> str:
    try:
        said: Mapping[str, Any] = orjson.loads(error.body or b"")
    except orjson.JSONDecodeError:
        return str(error.reason)
    return str(said.get("message", error.reason))


def is_controller(manager: str) -> bool:
    """Whether a field manager is a controller of this kind, in whichever namespace it runs."""
    return manager.partition(".")[0] == FIELD_MANAGER
