"""The whole process with the sleeper: start, overload, drain, crash, hang."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import httpx
import pytest

SLEEPER = ("--engine", "sleeper")


def test_a_start_reports_its_phases_and_then_serves(start_server) -> None:
    server = start_server(*SLEEPER, "-o", "load_s=0.3", "-o", "service_s=0.01")
    assert httpx.get(f"{server.url}/healthz", timeout=10).status_code == 200
    server.wait_ready()
    assert httpx.post(f"{server.url}/v1/sleep", timeout=10).json() == {"service_s": 0.01}
    cold_start_s = server.metric("speech_ready_time_seconds") - server.metric("speech_process_start_time_seconds")
    phases_s = server.metric("speech_model_load_phase_seconds")
    assert phases_s >= 0.3
    assert phases_s == pytest.approx(cold_start_s, abs=1.0)


def test_metrics_have_a_port_of_their_own_too(start_server, unused_tcp_port) -> None:
    server = start_server(*SLEEPER, "--metrics-port", str(unused_tcp_port))
    server.wait_ready()
    page = httpx.get(f"http://127.0.0.1:{unused_tcp_port}/metrics", timeout=10).text
    assert 'speech_model_ready{service="sleeper"} 1.0' in page


async def closed_loop(url: str, stop: asyncio.Event, statuses: list[int]) -> None:
    """A client with one persistent connection that opens a new one only when told to close."""
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=1)) as http:
        while not stop.is_set():
            statuses.append((await http.post(f"{url}/v1/sleep")).status_code)


async def test_sigterm_under_load_fails_no_request(start_server) -> None:
    server = start_server(*SLEEPER, "-o", "service_s=0.02", "-o", "slots=4", "--drain-delay-s", "1")
    server.wait_ready()
    stop, statuses = asyncio.Event(), []
    clients = [asyncio.create_task(closed_loop(server.url, stop, statuses)) for _ in range(8)]
    async with asyncio.timeout(30):
        while len(statuses) < 50:
            await asyncio.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient() as http:
            while (await http.get(f"{server.url}/readyz")).json() != {"status": "draining"}:
                await asyncio.sleep(0.01)
        before = len(statuses)
        while len(statuses) < before + 20:  # still answered: the pod has not left the Service yet
            await asyncio.sleep(0.01)
        stop.set()  # the Service no longer sends
        await asyncio.gather(*clients)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
    assert set(statuses) == {200}


async def test_what_is_inside_when_the_listener_closes_is_still_answered(start_server) -> None:
    server = start_server(*SLEEPER, "-o", "service_s=1.5", "--drain-delay-s", "0")
    server.wait_ready()
    async with httpx.AsyncClient(timeout=30) as http:
        waiting = [asyncio.create_task(http.post(f"{server.url}/v1/sleep")) for _ in range(2)]
        while server.metric("speech_requests_in_flight") < 2:
            await asyncio.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert await asyncio.to_thread(server.process.wait, 20) == 0


async def test_in_a_burst_what_is_accepted_waits_no_longer_than_offered_and_the_rest_is_told_to_come_back(
    start_server,
) -> None:
    """Capacity 2 / 0.2 s = 10 requests/s, a burst of 200, an offered wait of 0.4 s."""
    server = start_server(*SLEEPER, "-o", "service_s=0.2", "-o", "slots=2", "--max-wait-s", "0.4")
    server.wait_ready()
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=200)) as http:
        await http.post(f"{server.url}/v1/sleep")  # the first batch tells how long work takes
        answers = await asyncio.gather(*(http.post(f"{server.url}/v1/sleep") for _ in range(200)))
    accepted = sum(answer.status_code == 200 for answer in answers)
    refused = [answer for answer in answers if answer.status_code == 503]
    assert accepted + len(refused) == 200
    assert len(refused) > 50
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    wait_s = server.mean_phase_s("queue")
    assert wait_s < 0.4 + 0.2
    received = server.metric("speech_requests_received_total")
    assert received == server.metric("speech_requests_completed_total") + server.metric(
        "speech_requests_rejected_total"
    )


async def test_a_second_interrupt_waits_for_nobody(start_server) -> None:
    server = start_server(*SLEEPER, "-o", "service_s=60")
    server.wait_ready()
    async with httpx.AsyncClient(timeout=30) as http:
        waiting = asyncio.create_task(http.post(f"{server.url}/v1/sleep"))
        while server.metric("speech_requests_in_flight") < 1:
            await asyncio.sleep(0.01)
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            await asyncio.to_thread(server.process.wait, 1)
        server.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        await asyncio.wait({waiting})
        waiting.exception()


def test_a_crash_while_loading_ends_the_process(start_server) -> None:
    server = start_server(*SLEEPER, "-o", "crash_at_load=true")
    assert server.process.wait(30) == 70


def test_a_crash_in_service_ends_the_process(start_server) -> None:
    server = start_server(*SLEEPER, "-o", "service_s=0.001", "-o", "crash_at=2")
    server.wait_ready()
    assert httpx.post(f"{server.url}/v1/sleep", timeout=10).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{server.url}/v1/sleep", timeout=10)
    assert server.process.wait(30) == 70


def test_a_hang_in_service_fails_the_liveness_probe(start_server) -> None:
    server = start_server(*SLEEPER, "-o", "hang_at=1", "--hang-after-s", "0.2", "--deadline-s", "0.5")
    server.wait_ready()
    assert httpx.post(f"{server.url}/v1/sleep", timeout=10).status_code == 504
    assert httpx.get(f"{server.url}/healthz", timeout=10).status_code == 503


def test_usage_that_its_file_does_not_take_is_in_the_log(start_server, capfd) -> None:
    server = start_server(*SLEEPER, "--usage-file", "/dev/full", "-o", "service_s=0.01")
    server.wait_ready()
    assert httpx.post(f"{server.url}/v1/sleep", timeout=10).status_code == 200
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert "No space left" in lines[0]["message"]
    assert (lines[1]["endpoint"], lines[1]["status"]) == ("/v1/sleep", 200)


SERVE, WORK = ("serve", "--port", "0"), ("work", "--store", "file:///tmp", "--port", "0")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param((*SERVE, "-o", "naps=1"), "service_s", id="an option of the engine"),
        pytest.param((*SERVE, "--log-level", "loud"), "warning", id="a level"),
        pytest.param((*SERVE, "--deadline-s", "nan"), "--deadline-s", id="no number"),
        pytest.param((*SERVE, "--usage-file", "/no/where"), "--usage-file /no/where:", id="a file"),
        pytest.param((*SERVE, "--host", "192.0.2.1"), "--host 192.0.2.1 --port 0:", id="an address of others"),
        pytest.param((*WORK, "--broker", "amqp://"), "amqp://HOST", id="a broker without a name"),
        pytest.param((*WORK, "--broker", "redis://host"), "kafka://HOST", id="another broker"),
    ],
)
def test_bad_options_end_with_exit_code_2_and_say_what_is_allowed(arguments, said) -> None:
    command = [sys.executable, "-c", "from inference_server.cli import main; main()", *arguments, *SLEEPER]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_sleeper_needs_neither_torch_nor_numpy_nor_the_rest_of_the_inference_extra() -> None:
    probe = (
        "import sys, inference_server.api.process, inference_server.telemetry.metrics\n"
        "from inference_server.engines.registry import make_engine\n"
        "make_engine('sleeper', [])\n"
        "heavy = {'torch', 'numpy', 'funasr', 'soundfile', 'soxr', 'transformers', 'httpx', 'minio', 'jwt'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
