"""What commands ask and write of targets from outside of a controller: their ConfigMaps, and whether they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from kubernetes import client

from autoscaler.cluster.api import RefusedError, answer
from autoscaler.cluster.kinds import APPS, Kind
from autoscaler.cluster.objects import Object
from autoscaler.cluster.status import EXPLAINED, LABELS, config_map_name, config_maps, is_paused, parsed, put

_FORBIDDEN, _NOT_FOUND = 403, 404


@dataclass(frozen=True, slots=True)
class Reported:
    """What a target's ConfigMap says."""

    target: str
    paused: bool
    status: Mapping[str, Any]
    """As `status.json` has it; empty before the first decision."""
    explained: str


def reported(api: client.ApiClient, namespace: str, timeout_s: float = 10.0) -> list[Reported]:
    """The statuses of all targets of the controller in a namespace, by name.

    Raises:
        RefusedError: the server refused.
        Unreachable: no answer in time.
    """
    selector = ",".join(f"{name}={value}" for name, value in LABELS.items())
    found = answer(config_maps(api).list, namespace, label_selector=selector, timeout_s=timeout_s)["items"]
    return sorted(map(_reported, found), key=lambda each: each.target)


def _reported(config_map: Object) -> Reported:
    data = config_map.get("data") or {}
    status = parsed(data)
    name = config_map["metadata"]["name"].removeprefix("autoscaler.").replace(".", "/", 1)
    return Reported(str(status.get("target", name)), is_paused(data), status, str(data.get(EXPLAINED, "")))


def paused_now(api: client.ApiClient, namespace: str, target: str, timeout_s: float = 3.0) -> bool:
    """Ask whether somebody has paused a target of the controller in a namespace; the controller may list, not get.

    Raises:
        RefusedError: the server refused.
        Unreachable: no answer in time.
    """
    selector = f"metadata.name={config_map_name(target)}"
    found = answer(config_maps(api).list, namespace, field_selector=selector, timeout_s=timeout_s)["items"]
    return any(is_paused(each.get("data") or {}) for each in found)


def known(api: client.ApiClient, namespace: str, target: str, timeout_s: float = 3.0) -> bool:
    """Whether a controller in a namespace has told of a target, or somebody has paused it there.

    Raises:
        RefusedError: the server refused.
        Unreachable: no answer in time.
    """
    return _found(partial(answer, config_maps(api).read, config_map_name(target), namespace, timeout_s=timeout_s))


def is_there(api: client.ApiClient, target: str, timeout_s: float = 3.0) -> bool:
    """Whether a Deployment is there; one that may not be looked for may be.

    Raises:
        RefusedError: the server refused.
        Unreachable: no answer in time.
    """
    namespace, _, name = target.partition("/")
    try:
        return _found(partial(answer, Kind(api, APPS, "deployments").read, name, namespace, timeout_s=timeout_s))
    except RefusedError as error:
        if error.status != _FORBIDDEN:
            raise
        return True


def _found(read: Callable[[], object]) -> bool:
    try:
        read()
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        return False
    return True


def pause(api: client.ApiClient, namespace: str, target: str, *, paused: bool, timeout_s: float = 3.0) -> None:
    """Pause or resume a target, whether or not anything was told of it.

    Raises:
        RefusedError: the server refused.
        Unreachable: no answer in time.
    """
    put(config_maps(api), namespace, target, {"paused": "true" if paused else "false"}, timeout_s)
