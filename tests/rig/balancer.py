"""A small balancer with its clients: requests at given times, each to the pod that a rule picks.

It sends only to pods that the real EndpointSlices list, over a connection of its own for each request.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from kubernetes import client, watch
from rig.cluster import Cluster
from urllib3.exceptions import HTTPError

from autoscaler.model import Routing

_HEAD = "POST /v1/sleep HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n"


@dataclass
class Endpoints:
    """Addresses of a Service, by watch; and when how many there were."""

    cluster: Cluster
    namespace: str
    service: str
    addresses: frozenset[str] = frozenset()
    sizes: list[tuple[float, int]] = field(default_factory=list)
    """Monotonic time and number of addresses, at each change."""
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._follow, name="endpoints", daemon=True).start()

    def stop(self) -> None:
        """End with the next event."""
        self._over.set()

    def _follow(self) -> None:
        slices: dict[str, frozenset[str]] = {}
        while not self._over.is_set():
            with suppress(HTTPError, client.ApiException):  # the API server ends a watch now and then
                self._watch(slices)

    def _watch(self, slices: dict[str, frozenset[str]]) -> None:
        call = client.DiscoveryV1Api(self.cluster.api).list_namespaced_endpoint_slice
        label = f"kubernetes.io/service-name={self.service}"
        for event in watch.Watch().stream(call, self.namespace, label_selector=label):
            if self._over.is_set():
                return
            slice_ = event["object"]
            slices[slice_.metadata.name] = frozenset(
                "127." + address.removeprefix("10.")
                for endpoint in slice_.endpoints or ()
                if endpoint.conditions.ready
                for address in endpoint.addresses
            )
            if event["type"] == "DELETED":
                del slices[slice_.metadata.name]
            self.addresses = frozenset().union(*slices.values())
            self.sizes.append((time.monotonic(), len(self.addresses)))


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    at_s: float
    """When it was sent, on the scale of its plan."""
    latency_s: float
    status: int
    """0: the connection failed."""


Pick = Callable[[Sequence[str], Mapping[str, int]], str]
"""One of the addresses, by how many requests are outstanding at each."""


def rule(routing: Routing, seed: int) -> Pick:
    """How a balancer picks: the pod with the least outstanding requests, or any, as a plain Service does.

    Raises:
        ValueError: for another routing.
    """
    if routing is Routing.LEAST_OUTSTANDING:
        return lambda addresses, outstanding: min(addresses, key=outstanding.__getitem__)
    if routing is Routing.RANDOM:
        random = Random(seed)
        return lambda addresses, _: random.choice(addresses)
    raise ValueError(f"{routing} — {Routing.LEAST_OUTSTANDING} or {Routing.RANDOM}")


def send(
    endpoints: Endpoints, port: int, at_s: Sequence[float], service_s: Sequence[float], pick: Pick
) -> list[Answer]:
    """Send requests, each at its time from now whether earlier ones were answered or not; answers in that order."""
    return asyncio.run(_Clients(endpoints, port, pick).send(at_s, service_s))


@dataclass
class _Clients:
    """All clients of one balancer."""

    endpoints: Endpoints
    port: int
    pick: Pick
    outstanding: Counter[str] = field(default_factory=Counter)

    async def send(self, at_s: Sequence[float], service_s: Sequence[float]) -> list[Answer]:
        """See `send`."""
        began_s = time.monotonic()
        tasks = []
        for due_s, nap_s in zip(at_s, service_s, strict=True):
            await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
            tasks.append(asyncio.create_task(self._request(due_s, nap_s)))
        return list(await asyncio.gather(*tasks))

    async def _request(self, due_s: float, service_s: float) -> Answer:
        sent_s = time.monotonic()
        address = self.pick(sorted(self.endpoints.addresses), self.outstanding)
        self.outstanding[address] += 1
        try:
            status = await _ask(address, self.port, service_s)
        except (OSError, asyncio.IncompleteReadError):
            status = 0
        finally:
            self.outstanding[address] -= 1
        return Answer(due_s, time.monotonic() - sent_s, status)


async def _ask(address: str, port: int, service_s: float) -> int:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        body = f'{{"service_s": {service_s:.4f}}}'
        head = _HEAD.format(host=address) + f"Content-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        line = await reader.readuntil(b"\r\n")
        await reader.read()
        return int(line.split()[1])
    finally:
        writer.close()
