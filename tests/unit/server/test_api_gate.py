"""What stands before and around every route: readiness, places, body bound, deadline, error form."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import httpx
import pytest

from inference_server.api.app import make_app
from inference_server.engines.sleeper import Sleeper, SleeperSettings
from inference_server.serving.lifecycle import Lifecycle
from inference_server.serving.scheduler import AdmissionLimits
from inference_server.serving.service import RequestLimits, Service
from inference_server.telemetry.metrics import Metrics


class Gated(Sleeper):
    """A sleeper that wakes when the test says so."""

    def __init__(self) -> None:
        super().__init__(SleeperSettings())
        self.began = threading.Event()
        self.wake = threading.Event()

    def run(self, batch):
        self.began.set()
        assert self.wake.wait(30)
        return [nap.service_s for nap in batch]


def service(engine=None, admission=None, **limits) -> Service:
    return Service(
        engine or Sleeper(SleeperSettings(service_s=0.001)),
        Metrics("tts", [0.8]),
        Lifecycle(0.0),
        admission=admission,
        limits=RequestLimits(**limits),
    )


@pytest.fixture
async def gated() -> AsyncIterator[tuple[Gated, Service]]:
    engine = Gated()
    made = service(engine, AdmissionLimits(max_in_flight=2), deadline_s=20)
    made.load()
    yield engine, made
    engine.wake.set()
    await asyncio.to_thread(made.scheduler.close)


def client(made: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(make_app(made)), base_url="http://server")


def counted(made: Service, name: str, **labels: str) -> float:
    return made.metrics.registry.get_sample_value(name, {"service": "tts", **labels}) or 0.0


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_before_the_model_is_loaded_it_is_alive_but_not_ready_and_says_so() -> None:
    made = service()
    async with client(made) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
        answer = await http.post("/v1/sleep")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["error"]["code"] == "model_loading"
    assert counted(made, "speech_requests_rejected_total", reason="not_ready") == 1


async def test_a_request_is_answered_and_counted_once() -> None:
    made = service()
    made.load()
    async with client(made) as http:
        answer = await http.post("/v1/sleep", json={"service_s": 0.002})
        page = (await http.get("/metrics")).text
    assert answer.json() == {"service_s": 0.002}
    assert 'speech_requests_received_total{endpoint="/v1/sleep",service="tts"} 1.0' in page
    assert counted(made, "speech_requests_completed_total", code="200") == 1
    assert counted(made, "speech_requests_in_flight") == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param(b'{"service_s": -1}', "service_s", id="negative"),
        pytest.param(b'{"service_s": "x"}', "service_s", id="not a number"),
        pytest.param(b'{"service_s": 1e9}', "service_s", id="too long"),
        pytest.param(b'{"other": 1}', "other", id="unknown field"),
        pytest.param(b"{", None, id="no JSON"),
    ],
)
async def test_bad_input_is_a_400_in_openais_form(body: bytes, param: str) -> None:
    made = service()
    made.load()
    async with client(made) as http:
        answer = await http.post("/v1/sleep", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["param"] == param
    assert counted(made, "speech_requests_rejected_total", reason="bad_request") == 1


async def chunks(sizes):
    for size in sizes:
        yield b" " * size


@pytest.mark.parametrize(
    "body", [pytest.param(b" " * 2000, id="announced"), pytest.param([500] * 4, id="in chunks, unannounced")]
)
async def test_a_body_beyond_the_bound_is_413(body) -> None:
    made = service(max_body_bytes=1000)
    made.load()
    async with client(made) as http:
        content = chunks(body) if isinstance(body, list) else body
        answer = await http.post("/v1/sleep", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert counted(made, "speech_requests_rejected_total", reason="too_long") == 1


async def test_when_every_place_is_taken_the_next_is_told_when_to_come_back(gated) -> None:
    engine, made = gated
    async with client(made) as http:
        inside = [asyncio.create_task(http.post("/v1/sleep")) for _ in range(2)]
        await until(lambda: made.scheduler.load().in_flight == 2)
        refused = await http.post("/v1/sleep")
        engine.wake.set()
        answers = await asyncio.gather(*inside)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert [answer.status_code for answer in answers] == [200, 200]
    assert counted(made, "speech_requests_rejected_total", reason="queue_full") == 1


async def test_a_deadline_ends_the_wait_and_frees_the_place(gated) -> None:
    _, made = gated
    async with client(made) as http:
        answer = await http.post("/v1/sleep", headers={"x-request-timeout-s": "0.05"})
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "deadline_exceeded"
    assert made.scheduler.load().in_flight == 0
    assert counted(made, "speech_requests_rejected_total", reason="deadline") == 1


@pytest.mark.parametrize("value", ["0", "-1", "nan", "soon"])
async def test_a_deadline_that_is_no_positive_number_is_a_400(value: str) -> None:
    made = service()
    made.load()
    async with client(made) as http:
        answer = await http.post("/v1/sleep", headers={"x-request-timeout-s": value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "X-Request-Timeout-S"


def scope() -> dict:
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/sleep",
        "raw_path": b"/v1/sleep",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("test", 1),
        "server": ("test", 80),
        "scheme": "http",
        "http_version": "1.1",
    }


@pytest.mark.parametrize(
    ("after", "status"),
    [
        pytest.param([], 408, id="it does not come"),
        pytest.param([{"type": "http.disconnect"}], 499, id="the client goes"),
    ],
)
async def test_a_body_that_does_not_arrive_gives_its_place_back(after: list[dict], status: int) -> None:
    made = service(deadline_s=0.1)
    made.load()
    arriving = asyncio.Queue()
    for message in ({"type": "http.request", "body": b"{", "more_body": True}, *after):
        arriving.put_nowait(message)
    sent = []

    async def send(message) -> None:
        sent.append(message)

    await asyncio.wait_for(make_app(made)(scope(), arriving.get, send), 20)
    assert sent[0]["status"] == status
    assert made.scheduler.load().in_flight == 0
    assert counted(made, "speech_requests_rejected_total", reason="bad_request") == 1


async def test_a_client_that_does_not_take_its_answer_gives_its_place_back() -> None:
    made = service(deadline_s=0.2)
    made.load()
    arriving = asyncio.Queue()
    arriving.put_nowait({"type": "http.request", "body": b"{}", "more_body": False})

    async def send(message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    await asyncio.wait_for(make_app(made)(scope(), arriving.get, send), 20)
    assert made.scheduler.load().in_flight == 0
    assert counted(made, "speech_requests_rejected_total", reason="not_taken") == 1


async def test_the_bodies_of_all_requests_together_are_bounded(gated) -> None:
    engine, _ = gated
    made = service(engine, max_bodies_bytes=1000)
    made.load()
    json = {"content": b" " * 600 + b"{}", "headers": {"content-type": "application/json"}}
    async with client(made) as http:
        inside = asyncio.create_task(http.post("/v1/sleep", **json))
        await until(engine.began.is_set)
        refused = await http.post("/v1/sleep", **json)
        engine.wake.set()
        assert (await inside).status_code == 200
        taken = await http.post("/v1/sleep", **json)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert taken.status_code == 200
    await asyncio.to_thread(made.scheduler.close)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_model_thread_that_ends_fails_its_requests_and_the_liveness_probe() -> None:
    class Panic(BaseException):
        """As pyo3 raises it."""

    class Panicking(Sleeper):
        def run(self, batch):
            raise Panic

    made = service(Panicking(SleeperSettings()))
    made.load()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(made), raise_app_exceptions=False), base_url="http://server"
    ) as http:
        assert (await http.post("/v1/sleep")).status_code == 500
        await until(made.scheduler.has_lost_a_thread)
        assert (await http.get("/healthz")).status_code == 503


async def test_a_client_that_goes_while_it_waits_leaves_nothing_behind(gated) -> None:
    engine, made = gated
    app = make_app(made)
    messages = asyncio.Queue()

    async def send(message) -> None: ...

    running = asyncio.create_task(app(scope(), messages.get, send))
    await messages.put({"type": "http.request", "body": b"", "more_body": False})
    await until(engine.began.is_set)
    await messages.put({"type": "http.disconnect"})
    await running
    assert made.scheduler.load().in_flight == 0
    assert counted(made, "speech_requests_rejected_total", reason="abandoned") == 1


async def test_a_model_that_hangs_fails_the_liveness_probe(gated) -> None:
    engine, _ = gated
    stuck = service(engine, hang_after_s=0.01)
    stuck.load()
    async with client(stuck) as http:
        running = asyncio.create_task(http.post("/v1/sleep"))
        await until(lambda: stuck.scheduler.longest_run_s() > 0.01)
        answer = await http.get("/healthz")
        engine.wake.set()
        await running
        healed = await http.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "stuck"})
    assert healed.status_code == 200


async def test_an_unknown_path_is_answered_in_openais_form() -> None:
    async with client(service()) as http:
        answer = await http.get("/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"


async def test_a_failing_model_load_is_told_by_the_liveness_probe() -> None:
    class Broken(Sleeper):
        def load(self, phase) -> None:
            raise RuntimeError("no weights")

    made = service(Broken(SleeperSettings()))
    with pytest.raises(RuntimeError, match="no weights"):
        made.load()
    async with client(made) as http:
        assert (await http.get("/healthz")).status_code == 503
