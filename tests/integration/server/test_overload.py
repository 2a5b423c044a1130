"""Twice as many requests as the server can do, for long: bounded memory, and an answer to everything it accepted.

30 s here; `make soak` sets SPEECH_OVERLOAD_S=600.
"""

from __future__ import annotations

import asyncio
import collections
import os
import time

import httpx
import psutil
import pytest
from server_load import KeptAlive, closed_loop, upload

OVERLOAD_S = float(os.environ.get("SPEECH_OVERLOAD_S", "30"))
WARM_UP_S = 5.0
CONNECTIONS = 200
SLACK_BYTES = 48 << 20
"""What the allocator may still take after the warm-up; the sound that is sent comes to gigabytes in ten minutes."""


async def open_loop(port: int, requests: list[bytes], rate_rps: float, seconds: float) -> collections.Counter[int]:
    """Send at a rate, whatever comes back; statuses of the answers."""
    statuses: collections.Counter[int] = collections.Counter()
    idle = collections.deque(KeptAlive(port) for _ in range(CONNECTIONS))
    begun_s = time.perf_counter()

    async def one(connection: KeptAlive, request: bytes) -> None:
        statuses[await connection.ask(request)] += 1
        idle.append(connection)

    async with asyncio.timeout(seconds + 120), asyncio.TaskGroup() as sending:
        for number in range(int(rate_rps * seconds)):
            await asyncio.sleep(max(0.0, begun_s + number / rate_rps - time.perf_counter()))
            while not idle:
                await asyncio.sleep(0.001)
            sending.create_task(one(idle.popleft(), requests[number % len(requests)]))
    for connection in idle:
        connection.close()
    return statuses


@pytest.mark.slow
@pytest.mark.timeout(OVERLOAD_S + 400)
async def test_an_overload_costs_no_memory_and_no_accepted_request(start_server, digit_clips, tmp_path, capsys) -> None:
    model = digit_clips[0].path.parents[1]
    usage = tmp_path / "usage"
    server = start_server(
        "--engine", "sensevoice", "-o", f"model={model}", "--max-wait-s", "1", "--usage-file", str(usage)
    )
    server.wait_ready(120)
    port = int(server.url.rpartition(":")[2])
    clips = [clip.path.read_bytes() for clip in digit_clips]
    requests = [upload(port, "/v1/audio/transcriptions", "a.wav", clip, {}) for clip in clips]
    capacity_rps = (await closed_loop(port, requests, clients=8, total=200)).rate_rps
    await open_loop(port, requests, 2 * capacity_rps, WARM_UP_S)
    before_bytes = psutil.Process(server.process.pid).memory_info().rss
    statuses = await open_loop(port, requests, 2 * capacity_rps, OVERLOAD_S)
    grown_bytes = psutil.Process(server.process.pid).memory_info().rss - before_bytes
    with capsys.disabled():
        print(
            f"\n{OVERLOAD_S:g} s at {2 * capacity_rps:.0f} requests/s: {dict(statuses)}, "
            f"resident memory {before_bytes / 2**20:.0f} {grown_bytes / 2**20:+.1f} MiB"
        )
    assert set(statuses) == {200, 503}
    assert grown_bytes < SLACK_BYTES
    assert server.metric("speech_requests_in_flight") == 0
    received, completed, rejected = (
        server.metric(f"speech_requests_{name}_total") for name in ("received", "completed", "rejected")
    )
    assert received == completed + rejected == len(usage.read_text(encoding="utf-8").splitlines())
    assert httpx.get(f"{server.url}/healthz", timeout=10).status_code == 200
