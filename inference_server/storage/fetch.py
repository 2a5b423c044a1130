"""URLs that clients name, fetched without lending them the server's place in the network.

A host must be on the allow-list, and every address that its name resolves to must be public; the connection goes to the
address that was checked, so a name that resolves differently the second time (DNS rebinding) gains nothing. Redirects
are not followed, proxies of the environment are not used, and compressed answers are not asked for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore

from inference_server.errors import Refusal

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """One entry of the allow-list.

    Attributes:
        host: lower case; `*.example.org` stands for every name below, not for example.org itself.
        scheme: `https`, or `http` for hosts inside the cluster.
        port: the only one that is allowed.
        private: addresses of private networks are allowed too; meant for stores inside the cluster.
    """

    host: str
    scheme: str = "https"
    port: int = 443
    private: bool = False

    @classmethod
    def parse(cls, text: str, *, private: bool = False) -> AllowedHost:
        """From `https://host[:port]`.

        Raises:
            ValueError: another scheme, or more than scheme, host and port.
        """
        parts = urlsplit(text)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise ValueError(f"{text}: must be https://HOST[:PORT] or http://HOST[:PORT]")
        return cls(parts.hostname, parts.scheme, parts.port or _PORTS[parts.scheme], private)

    def covers(self, scheme: str, host: str, port: int) -> bool:
        """Whether a URL's origin is this entry's."""
        below = self.host.startswith("*.") and host.endswith(self.host[1:])
        return (scheme, port) == (self.scheme, self.port) and (below or host == self.host)


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, from the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only; TLS still verifies the name."""

    def __init__(self, resolver: Resolver, *, private: bool) -> None:
        self._resolver = resolver
        self._private = private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolver(host, port)
        if not addresses or not (self._private or all(is_public(address) for address in addresses)):
            raise _refused("the host's address is not public")
        return await self._network.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


def is_public(address: str) -> bool:
    """Whether an address lies on the public internet; the IPv4 inside an IPv6 form counts as what it is."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo and parsed.teredo[1])
        if inner or parsed in ipaddress.ip_network("64:ff9b::/96"):  # NAT64 (RFC 6052)
            inner = inner or ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


class Fetcher:
    """Fetches from allowed hosts.

    Args:
        allowed: the allow-list; empty: nothing may be fetched.
        max_bytes: longest body.
        timeout_s: from the first look-up to the last byte.
        resolver: name to addresses.
    """

    def __init__(
        self,
        allowed: Sequence[AllowedHost],
        max_bytes: int = 32 << 20,
        timeout_s: float = 10.0,
        resolver: Resolver = resolve,
    ) -> None:
        self._allowed = tuple(allowed)
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._resolver = resolver

    async def fetch(self, url: str) -> bytes:
        """The body of a 200 answer.

        Raises:
            Refusal: 400: not allowed, not reachable, another status (a redirect is one), too large, too slow.
        """
        target, entry = self._check(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._get(target, entry)
        except TimeoutError as error:
            raise _refused(f"no complete answer within {self._timeout_s:g} s") from error
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise _refused("the host could not be reached") from error

    def _check(self, url: str) -> tuple[httpcore.URL, AllowedHost]:
        """What is fetched is put together from the parts that were checked: no second parser reads the text."""
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise _refused("not a URL")
        try:
            parts = urlsplit(url)
            scheme, host = parts.scheme, (parts.hostname or "").rstrip(".")
            port = parts.port or _PORTS.get(scheme, 0)
        except ValueError as error:
            raise _refused("not a URL") from error
        entry = next((entry for entry in self._allowed if entry.covers(scheme, host, port)), None)
        if entry is None or "@" in parts.netloc:
            raise _refused("this host is not on the allow-list")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return httpcore.URL(scheme=scheme, host=host, port=port, target=path), entry

    async def _get(self, url: httpcore.URL, entry: AllowedHost) -> bytes:
        network = _CheckedNetwork(self._resolver, private=entry.private)
        async with httpcore.AsyncConnectionPool(network_backend=network) as pool:
            headers = [("Accept-Encoding", "identity"), ("User-Agent", "inference-server")]
            async with pool.stream("GET", url, headers=headers) as answer:
                if answer.status != 200:
                    raise _refused(f"the host answered {answer.status}; redirects are not followed")
                body = bytearray()
                async for chunk in answer.aiter_stream():
                    body += chunk
                    if len(body) > self._max_bytes:
                        raise Refusal(413, "too_long", f"the body is longer than {self._max_bytes} bytes", param="url")
                return bytes(body)


def _refused(message: str) -> Refusal:
    return Refusal(400, "bad_request", f"the URL cannot be fetched: {message}", code="url_refused", param="url")
