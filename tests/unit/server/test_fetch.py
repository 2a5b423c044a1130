"""What may be fetched: nothing outside the allow-list, nothing private, nothing endless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from inference_server.errors import Refusal
from inference_server.storage.fetch import AllowedHost, Fetcher, is_public

EXAMPLE = AllowedHost("audio.example.org")


def to(*addresses: str):
    async def resolver(host: str, port: int):
        return addresses

    return resolver


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/a.wav",
        "https://example.org/a.wav",
        "https://audio.example.org.evil.com/a.wav",
        "https://xaudio.example.org/a.wav",
        "http://audio.example.org/a.wav",
        "https://audio.example.org:8443/a.wav",
        "https://user:secret@audio.example.org/a.wav",
        "https://audio.example.org@evil.com/a.wav",
        "https://evil.com\\@audio.example.org/a.wav",
        "https://evil.com#@audio.example.org/",
        "https://audio.example.org\r\nHost: evil.com/",
        "https://127.0.0.1/a.wav",
        "https://[::1]/a.wav",
        "https://2130706433/a.wav",
        "file:///etc/passwd",
        "ftp://audio.example.org/a.wav",
        "gopher://audio.example.org/",
        "//audio.example.org/a.wav",
        "https://audio.example.org:port/",
        "https://[audio.example.org/",
        "https://аudio.example.org/",  # a Cyrillic а
        "",
    ],
)
async def test_what_is_not_on_the_list_is_never_looked_up(url: str) -> None:
    async def resolver(host: str, port: int):
        raise AssertionError(f"looked up {host}")

    with pytest.raises(Refusal) as refused:
        await Fetcher([EXAMPLE], resolver=resolver).fetch(url)
    assert (refused.value.status, refused.value.code) == (400, "url_refused")


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # the metadata service of clouds
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(Refusal, match="not public"):
        await Fetcher([EXAMPLE], resolver=to(address)).fetch("https://audio.example.org/a.wav")


async def test_one_private_address_among_public_ones_is_enough() -> None:
    with pytest.raises(Refusal, match="not public"):
        await Fetcher([EXAMPLE], resolver=to("8.8.8.8", "10.0.0.1")).fetch("https://audio.example.org/a.wav")


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_an_empty_list_allows_nothing() -> None:
    with pytest.raises(Refusal):
        asyncio.run(Fetcher([]).fetch("https://audio.example.org/"))


@pytest.mark.parametrize(
    ("entry", "origin", "covered"),
    [
        pytest.param("https://a.org", ("https", "a.org", 443), True, id="itself"),
        pytest.param("https://a.org", ("https", "b.a.org", 443), False, id="no name below"),
        pytest.param("https://*.a.org", ("https", "b.a.org", 443), True, id="a name below a star"),
        pytest.param("https://*.a.org", ("https", "a.org", 443), False, id="not the name itself"),
        pytest.param("https://*.a.org", ("https", "xa.org", 443), False, id="not a longer name"),
        pytest.param("http://minio:9000", ("http", "minio", 9000), True, id="a port"),
    ],
)
def test_entries_cover_origins(entry: str, origin, covered: bool) -> None:
    assert AllowedHost.parse(entry).covers(*origin) is covered


@pytest.mark.parametrize("text", ["a.org", "ftp://a.org", "https://", "https://a.org/path", "https://u@a.org"])
def test_an_entry_is_scheme_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match="must be https"):
        AllowedHost.parse(text)


@pytest.fixture
async def host() -> AsyncIterator[Callable]:
    """A local HTTP server that answers every request with given bytes."""
    servers = []

    async def start(answer: bytes, *, then_wait: bool = False):
        seen: list[bytes] = []

        async def handle(reader, writer) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            if then_wait:
                await reader.read()  # until the client goes
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return server.sockets[0].getsockname()[1], seen

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


def inside(port: int, **limits) -> tuple[Fetcher, list[str]]:
    looked_up: list[str] = []

    async def resolver(name: str, _: int):
        looked_up.append(name)
        return ["127.0.0.1"]

    return Fetcher([AllowedHost("store", "http", port, private=True)], resolver=resolver, **limits), looked_up


async def test_an_allowed_host_is_fetched_from_the_address_that_was_checked(host) -> None:
    port, seen = await host(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsound")
    fetcher, looked_up = inside(port)
    assert await fetcher.fetch(f"http://store:{port}/a.wav?x=1") == b"sound"
    assert looked_up == ["store"]  # once: nothing is left to rebind
    assert seen[0].startswith(b"GET /a.wav?x=1 HTTP/1.1\r\n")
    assert f"host: store:{port}".encode() in seen[0].lower()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\n\r\n", "redirects", id="redirect"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "404", id="not found"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, "longer than 1000", id="too long, unannounced"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2000, "longer", id="too long"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nx", "reached", id="cut"),
        pytest.param(b"SSH-2.0-x\r\n", "reached", id="no HTTP"),
        pytest.param(b"", "reached", id="nothing"),
    ],
)
async def test_every_other_answer_is_refused(host, answer: bytes, said: str) -> None:
    port, _ = await host(answer)
    fetcher, _ = inside(port, max_bytes=1000)
    with pytest.raises(Refusal, match=said):
        await fetcher.fetch(f"http://store:{port}/")


async def test_an_answer_that_never_ends_is_left(host) -> None:
    port, _ = await host(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", then_wait=True)
    fetcher, _ = inside(port, timeout_s=0.2)
    with pytest.raises(Refusal, match="no complete answer"):
        await fetcher.fetch(f"http://store:{port}/")


async def test_a_host_that_is_not_there_is_refused() -> None:
    fetcher, _ = inside(9)
    with pytest.raises(Refusal, match="reached"):
        await fetcher.fetch("http://store:9/")
