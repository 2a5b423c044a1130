"""One ConfigMap per target in the controller's own namespace: its status, and whether it is paused.

It is not on the Deployment: what stands there is copied to ReplicaSets and brought back by `rollout undo`.
`paused` belongs to people and is never written by the controller; the others are the controller's: `status.json`,
`explained`, the last change in words, and `memory.json`, which a policy goes on with in the next process.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import structlog
from kubernetes import client

from autoscaler.cluster.api import FIELD_MANAGER, RefusedError, answer, kind_of
from autoscaler.cluster.conditions import (
    dated,
    details_of,
    policy_condition,
    said_in,
    service_condition,
    status_of,
    unsized_status,
)
from autoscaler.cluster.kinds import CORE, Kind
from autoscaler.cluster.lease import wall_clock
from autoscaler.cluster.mirror import Mirror, Reflector
from autoscaler.cluster.objects import Object
from autoscaler.model import Tick, Unreachable

LABELS: Mapping[str, str] = {"app.kubernetes.io/managed-by": FIELD_MANAGER, "autoscaling.speech/kind": "status"}
STATUS, EXPLAINED, MEMORY = "status.json", "explained", "memory.json"
REFRESH_S = 300.0
"""So often a status is written in which nothing has changed: its figures move, and it says that we live."""
_LONGEST_NAME = 253
_NOT_FOUND, _CONFLICT = 404, 409
_NOT_PAUSED = frozenset({"", "false", "no", "off", "0"})
_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_log = structlog.get_logger(__name__)


def config_map_name(target: str) -> str:
    """The name of a target's ConfigMap; of a target `namespace/name` that is too long, a digest stands for the end."""
    name = "autoscaler." + target.replace("/", ".")
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST_NAME - 17].rstrip('.-')}-{digest}"


@dataclass(frozen=True, slots=True)
class StatusView:
    """What is kept of a status ConfigMap."""

    uid: str
    name: str
    paused: bool
    memory: str | None
    """What a policy kept."""
    conditions: Mapping[str, Mapping[str, str]]
    """That were written last, by type."""
    owner: str = ""


def status_view(config_map: Object) -> StatusView:
    """Read a status ConfigMap."""
    metadata = config_map["metadata"]
    data = config_map.get("data") or {}
    return StatusView(metadata["uid"], metadata["name"], is_paused(data), data.get(MEMORY), said_in(parsed(data)))


def is_paused(data: Mapping[str, str]) -> bool:
    """Whether somebody wants the target left alone: people write `paused`, in words of their own."""
    return data.get("paused", "").strip().lower() not in _NOT_PAUSED


@dataclass(frozen=True, slots=True)
class _Said:
    """What was written last, and when."""

    gist: str
    at_s: float


def _gist(status: dict[str, Any]) -> str:
    """What makes a status worth a write: figures within a reason move at every tick, and are not."""
    worded = status | {"reason": _FIGURE.sub("#", str(status.get("reason")))}
    conditions = [each | {"message": _FIGURE.sub("#", each["message"])} for each in status["conditions"]]
    return repr(worded | {"conditions": conditions})


class Statuses:
    """The ConfigMaps of all targets: pauses are known by watch, statuses are written beside the loop.

    Args:
        api: a connection.
        namespace: the controller's own.
        forbidden: why nothing may be written; asked before every write.
        explain: a tick in words, given the one before.
        timeout_s: for one request.
        failed: is told of each write that failed: its target and, as `kind_of` has it, why.

    Attributes:
        thread: where they are written; it has no end.
    """

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        forbidden: Callable[[], str | None],
        explain: Callable[[Tick, Tick | None], Sequence[str]],
        *,
        timeout_s: float = 3.0,
        failed: Callable[[str, str], object] = lambda *_: None,
    ) -> None:
        self._explain = explain
        self._failed = failed
        self._config_maps = config_maps(api)
        self._namespace = namespace
        self._forbidden = forbidden
        self._timeout_s = timeout_s
        self._known: Mirror[StatusView] = Mirror(status_view)
        selector = ",".join(f"{name}={value}" for name, value in LABELS.items())
        call = partial(self._config_maps.list, label_selector=selector)
        self._reflector = Reflector(call, namespace, self._known)
        self._said: dict[str, _Said] = {}
        self._before: dict[str, Tick] = {}
        self._conditions: dict[str, Mapping[str, Mapping[str, str]]] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._trouble: dict[str, str] = {}
        self._misdirected: dict[str, str] = {}
        self._rivals: dict[str, str] = {}
        self._waiting: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._writing = False
        self._woken = threading.Condition()
        self.thread = threading.Thread(target=self._run, name="status", daemon=True)

    def start(self) -> None:
        """Begin to watch and to write."""
        self._reflector.start()
        self.thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._reflector.stop()

    def heard(self) -> bool:
        """Whether it is known who is paused; what was known once is believed while the server is silent."""
        return self._reflector.silent_s() is not None

    def paused(self, target: str) -> bool:
        """Whether somebody has paused a target."""
        found = self._known.named(config_map_name(target))
        return found is not None and found.paused

    def append(self, tick: Tick) -> None:
        """See `Journal`. What has changed is written, and now and then what has not; of several changes the last."""
        name = tick.target
        if self._forbidden() is not None:
            self._follow(name)
            self._before[name] = tick
            return
        status = self._facts.get(name, {}) | status_of(tick, self._rivals.get(name, ""))
        status["conditions"] = [*status["conditions"], policy_condition(self._trouble.get(name, ""))]
        if name in self._misdirected:
            status["conditions"].append(service_condition(self._misdirected[name]))
        before, self._before[name] = self._before.get(name), tick
        self._tell(name, status, details_of(tick), lambda: "\n".join(self._explain(tick, before)))

    def unsized(self, target: str, why: str) -> None:
        """Show of a target of which no tick tells why nothing sizes it."""
        if self._forbidden() is not None:
            self._follow(target)
            return
        self._tell(target, self._facts.get(target, {}) | unsized_status(why), {}, lambda: why)

    def _tell(
        self, name: str, status: dict[str, Any], details: Mapping[str, Any], explained: Callable[[], str]
    ) -> None:
        said, now_s = self._said.get(name), time.monotonic()
        gist = _gist(status)
        if said is not None and said.gist == gist and now_s - said.at_s < REFRESH_S:
            return
        self._said[name] = _Said(gist, now_s)
        at, before = wall_clock(), self._conditions.get(name) or self._written(name)
        conditions = dated(status["conditions"], before, at)
        self._conditions[name] = {**before, **{each["type"]: each for each in conditions}}
        whole = {"target": name, "at": at, **details, **status, "conditions": conditions}
        self._write_soon(name, {STATUS: _json(whole), EXPLAINED: explained()})

    def _follow(self, target: str) -> None:
        """Whoever begins to lead says what then holds, and by what the leader before wrote, since when."""
        self._said.pop(target, None)
        self._conditions.pop(target, None)

    def _written(self, target: str) -> Mapping[str, Mapping[str, str]]:
        """The conditions that were written last, by whichever process."""
        found = self._known.named(config_map_name(target))
        return found.conditions if found else {}

    def kept(self, target: str) -> str | None:
        """What the policy of a target kept last, in whatever process."""
        found = self._known.named(config_map_name(target))
        return found.memory if found else None

    def keep(self, target: str, text: str) -> None:
        """Keep what the policy of a target goes on with in the next process."""
        self._write_soon(target, {MEMORY: text})

    def about(self, target: str, facts: Mapping[str, Any]) -> None:
        """Show these too with a target's status from the next tick on: its mode, its policy, its starts."""
        self._facts[target] = self._facts.get(target, {}) | dict(facts)

    def troubled(self, target: str, problems: str) -> None:
        """Show from the next tick on what is wrong with the file of a target's policy."""
        self._trouble[target] = problems

    def misdirected(self, target: str, problem: str | None) -> None:
        """Show from the next tick on how a target's Service does not select its pods; empty: it does; None: nothing."""
        if problem is None:
            self._misdirected.pop(target, None)
        else:
            self._misdirected[target] = problem

    def rivalled(self, target: str, rival: str) -> None:
        """Show from the next tick on who else sizes a target; empty: nobody."""
        self._rivals[target] = rival

    def flush(self, within_s: float) -> bool:
        """Wait until all is written that waits; whether it was in time."""
        with self._woken:
            return self._woken.wait_for(lambda: not self._waiting and not self._writing, within_s)

    def _write_soon(self, target: str, data: Mapping[str, str]) -> None:
        with self._woken:
            self._waiting.setdefault(target, {}).update(data)
            self._woken.notify_all()

    def _run(self) -> None:
        while True:
            with self._woken:
                self._woken.wait_for(lambda: bool(self._waiting))
                target, data = self._waiting.popitem(last=False)
                self._writing = True
            self._write(target, data)
            with self._woken:
                self._writing = False
                self._woken.notify_all()

    def _write(self, target: str, data: Mapping[str, str]) -> None:
        if self._forbidden() is not None:
            self._said.pop(target, None)  # nobody heard it: whoever may write says it
            return
        try:
            put(self._config_maps, self._namespace, target, data, self._timeout_s)
        except (RefusedError, Unreachable) as error:
            self._said.pop(target, None)  # the next tick writes again
            self._failed(target, kind_of(error))
            _log.warning("status not written", target=target, error=str(error))
        except Exception:  # noqa: BLE001 — whatever it is: a thread that ends here never writes a status again
            self._said.pop(target, None)
            self._failed(target, "unexpected")
            _log.exception("status not written", target=target)


def parsed(data: Mapping[str, str]) -> dict[str, Any]:
    """What `status.json` says; nothing where somebody has edited it to nonsense."""
    try:
        status = orjson.loads(data.get(STATUS, "{}"))
    except orjson.JSONDecodeError:
        return {}
    return status if isinstance(status, dict) else {}


def config_maps(api: client.ApiClient) -> Kind:
    """Where statuses are kept."""
    return Kind(api, CORE, "configmaps")


def put(config_maps: Kind, namespace: str, target: str, data: Mapping[str, str], timeout_s: float) -> None:
    """Set some keys of a target's ConfigMap, which is made if it is not there; the other keys stay.

    Raises:
        RefusedError: the server refused.
        Unreachable: no answer in time.
    """
    name = config_map_name(target)
    body = {"metadata": {"name": name, "labels": dict(LABELS)}, "data": dict(data)}
    change = partial(
        answer,
        config_maps.patch,
        name,
        namespace,
        body,
        field_manager=FIELD_MANAGER,
        timeout_s=timeout_s,
    )
    try:
        change()
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        try:
            answer(config_maps.create, namespace, body, timeout_s=timeout_s)
        except RefusedError as refused:
            if refused.status != _CONFLICT:
                raise
            change()


def _json(status: Mapping[str, Any]) -> str:
    return orjson.dumps(status, option=orjson.OPT_INDENT_2).decode()
