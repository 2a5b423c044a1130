"""A node that is played: it takes the pods of one namespace, runs each, and tells the API server how they are.

A pod gets the address 10.a.b.c, because EndpointSlices refuse loopback; what runs in it listens on 127.a.b.c.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from kubernetes import client
from rig.cluster import Cluster

ROUND_S = 0.1
"""How often the node looks at its pods."""
PROBE_S = 1.0
"""How often it asks a pod that was ready, as a kubelet would."""


class Running(Protocol):
    """What runs in a pod."""

    def ready(self) -> bool:
        """What its readiness probe says."""

    def end(self) -> None:
        """SIGTERM."""

    def ended(self) -> bool:
        """Whether it has ended."""

    def stop(self) -> None:
        """End it and wait for it."""


class Runtime(Protocol):
    """Starts what runs in pods."""

    def start(self, pod: str, address: str) -> Running:
        """Start one, on an address of loopback."""


@dataclass
class Instant:
    """Something that is ready as soon as it may be, and has ended at once."""

    runtime: InstantRuntime
    loaded: bool = False
    running: bool = True

    def ready(self) -> bool:
        """Once its runtime has let it."""
        self.loaded = self.loaded or self.runtime.loads
        return self.running and self.loaded

    def end(self) -> None:
        """At once."""
        self.running = False

    def ended(self) -> bool:
        """Whether it was told to end."""
        return not self.running

    def stop(self) -> None:
        """At once."""
        self.running = False


@dataclass
class InstantRuntime:
    """Pods that are only there; while `loads` is false, none becomes ready that was not."""

    loads: bool = True

    def start(self, pod: str, address: str) -> Instant:
        """Nothing is started."""
        return Instant(self)


@dataclass
class _Played:
    running: Running
    address: str
    container: Mapping[str, Any]
    told_ready: bool = False
    told_to_end: bool = False
    probed_s: float = -math.inf

    def changed(self) -> bool:
        """Whether its probe says something new; one that was ready is asked less often."""
        now_s = time.monotonic()
        if self.told_ready and now_s < self.probed_s + PROBE_S:
            return False
        self.probed_s = now_s
        return self.running.ready() != self.told_ready


@dataclass
class Node:
    """Plays the kubelet for one namespace."""

    cluster: Cluster
    namespace: str
    runtime: Runtime
    place: str = ""
    """Name of the Node object that new pods are put on: its own, unless it is to be drained."""
    ready_for_s: float = 0.0
    """So long pods that become ready say to have been so."""
    sizes: list[tuple[float, int]] = field(default_factory=list)
    """Monotonic time and number of pods that hold a GPU, at each change."""
    _pods: dict[str, _Played] = field(default_factory=dict)
    _prefix: str = field(default_factory=lambda: f"{random.randint(1, 254)}.{random.randint(0, 255)}")
    _addresses: Iterator[int] = field(default_factory=lambda: iter(range(1, 255)))

    @property
    def name(self) -> str:
        """Of the Node object."""
        return f"node-{self.namespace}"

    def register(self) -> None:
        """Make the Node: without it the EndpointSlice controller passes its pods over."""
        self._make(self.name)

    def go_elsewhere(self) -> None:
        """Put new pods on another Node object."""
        self.place = f"{self.name}-other"
        self._make(self.place)

    def look(self) -> None:
        """One round: level-triggered, so whatever fails is done in the next one."""
        # The generated client takes several milliseconds to make an object of each pod.
        listed = self.cluster.core.list_namespaced_pod(self.namespace, _preload_content=False).data
        for pod in json.loads(listed)["items"]:
            name = str(pod["metadata"]["name"])
            played = self._pods.get(name)
            if "deletionTimestamp" in pod["metadata"]:
                self._end(name, played)
            elif played is None:
                self._begin(name, pod)
            elif played.changed():
                played.told_ready = not played.told_ready
                self._tell(name, played)
        if not self.sizes or self.sizes[-1][1] != len(self._pods):
            self.sizes.append((time.monotonic(), len(self._pods)))

    def addresses(self) -> dict[str, str]:
        """Where the running pods listen, by name."""
        return {name: f"127.{pod.address}" for name, pod in list(self._pods.items())}

    def stop_all(self) -> None:
        """End what still runs, all at the same time, and wait for it."""
        for played in self._pods.values():
            played.running.end()
        for played in self._pods.values():
            played.running.stop()

    def _make(self, name: str) -> None:
        self.cluster.core.create_node({"metadata": {"name": name}})
        self.cluster.core.patch_node(name, {"spec": {"taints": None}})

    def _begin(self, name: str, pod: Mapping[str, Any]) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": self.place or self.name}
        body = {"metadata": {"name": name}, "target": target}
        # The generated client cannot read the answer of this call.
        self.cluster.core.create_namespaced_pod_binding(name, self.namespace, body, _preload_content=False)
        address = f"{self._prefix}.{next(self._addresses)}"
        self._pods[name] = _Played(self.runtime.start(name, f"127.{address}"), address, _container(pod))
        self._tell(name, self._pods[name])

    def _tell(self, name: str, played: _Played) -> None:
        since = _time(self.ready_for_s if played.told_ready else 0.0)
        state = {"status": str(played.told_ready), "lastTransitionTime": since}
        ip = f"10.{played.address}"
        status: dict[str, Any] = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": kind} | state for kind in ("Ready", "ContainersReady")],
            "containerStatuses": [played.container | {"ready": played.told_ready}],
        }
        self.cluster.core.patch_namespaced_pod_status(name, self.namespace, {"status": status})

    def _end(self, name: str, played: _Played | None) -> None:
        if played is not None and not played.told_to_end:
            played.told_to_end = True
            played.running.end()
        if played is None or played.running.ended():
            self._pods.pop(name, None)
            self.cluster.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)


def _time(ago_s: float = 0.0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _container(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The status of its only container, which runs from now on."""
    [container] = pod["spec"]["containers"]
    state = {"running": {"startedAt": _time()}}
    return {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0, "state": state}


@contextmanager
def node(cluster: Cluster, namespace: str, runtime: Runtime) -> Iterator[Node]:
    """Play one in a thread of its own until the block ends; what fails to reach the API server is tried again."""
    playing, over = Node(cluster, namespace, runtime), threading.Event()
    playing.register()

    def play() -> None:
        while not over.wait(ROUND_S):
            try:
                playing.look()
            except client.ApiException as error:
                if error.status not in (404, 409):  # the pod has gone or changed meanwhile
                    raise

    thread = threading.Thread(target=play, name=f"node of {namespace}", daemon=True)
    thread.start()
    try:
        yield playing
    finally:
        over.set()
        thread.join()
        playing.stop_all()
