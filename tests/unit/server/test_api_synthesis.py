"""`/v1/audio/speech` around an engine that the test controls: streaming, failure in the middle, plumbing of voices."""

from __future__ import annotations

import asyncio
import base64
import io
import threading

import httpx
import numpy as np
import pytest
import soundfile

from inference_server.api.app import make_app
from inference_server.engines.engine import BatchLimits
from inference_server.engines.synthesis import Sentence
from inference_server.errors import bad_request
from inference_server.serving.lifecycle import Lifecycle
from inference_server.serving.service import Service
from inference_server.storage.fetch import Fetcher
from inference_server.storage.objects import FolderStore
from inference_server.storage.sources import Sources
from inference_server.telemetry.logs import USAGE
from inference_server.telemetry.metrics import Metrics

RATE_HZ = 16_000
IN_TIME_S = 30
LOUD = np.full(RATE_HZ, 10_000, np.int16)


class Speaker:
    """One second of sound for each sentence; the second and later ones wait for the test."""

    kind = "synthesis"
    model = "speaker"
    device = "none"
    slots = 1
    batching = BatchLimits()
    rate_hz = RATE_HZ
    reference_rate_hz = RATE_HZ
    voices = ("first", "second")

    def __init__(self) -> None:
        self.wishes = []
        self.go = threading.Semaphore(1)
        self.spoken = []

    def load(self, phase) -> None: ...

    def plan(self, wish):
        self.wishes.append(wish)
        if wish.voice not in self.voices:
            raise bad_request(f"unknown voice {wish.voice}", param="voice", code="voice_not_found")
        return [Sentence(text, float(len(text))) for text in wish.text.split(".") if text]

    def run(self, batch):
        assert self.go.acquire(timeout=IN_TIME_S)
        (sentence,) = batch
        self.spoken.append(sentence.planned)
        if sentence.planned == "fail":
            raise ValueError("no sound")
        return [LOUD]


@pytest.fixture
async def speaker():
    engine = Speaker()
    service = Service(engine, Metrics("tts", [0.8]), Lifecycle(0.0))
    service.load()
    yield engine, service
    engine.go.release(100)
    await asyncio.to_thread(service.scheduler.close)


class Exchange:
    """One ASGI request whose answer the test sees while it is still being written."""

    def __init__(self, app, body: bytes) -> None:
        self.sent = asyncio.Queue()
        self._received = asyncio.Queue()
        self._received.put_nowait({"type": "http.request", "body": body, "more_body": False})
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": "POST",
            "path": "/v1/audio/speech",
            "raw_path": b"/v1/audio/speech",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "client": ("test", 1),
            "server": ("test", 80),
            "scheme": "http",
            "http_version": "1.1",
        }
        self.task = asyncio.create_task(app(scope, self._received.get, self.sent.put))

    async def next(self):
        async with asyncio.timeout(IN_TIME_S):
            return await self.sent.get()

    def leave(self) -> None:
        self._received.put_nowait({"type": "http.disconnect"})


async def until(condition) -> None:
    async with asyncio.timeout(IN_TIME_S):
        while not condition():
            await asyncio.sleep(0.005)


def counted(service, name: str, **labels: str) -> float:
    return service.metrics.registry.get_sample_value(name, {"service": "tts", **labels}) or 0.0


async def test_the_first_sentence_is_sent_before_the_last_is_computed(speaker) -> None:
    engine, service = speaker
    exchange = Exchange(make_app(service), b'{"input": "one.two.three", "response_format": "wav"}')
    assert (await exchange.next())["status"] == 200
    assert len((await exchange.next())["body"]) == 44 + LOUD.nbytes
    assert engine.spoken == ["one"]
    assert counted(service, "speech_time_to_first_audio_seconds_count") == 1
    engine.go.release(2)
    assert [len((await exchange.next())["body"]) for _ in range(2)] == [LOUD.nbytes] * 2
    await exchange.next()
    await exchange.task
    assert counted(service, "speech_requests_completed_total", code="200") == 1


async def test_a_listener_who_goes_is_not_spoken_to_any_further(speaker) -> None:
    engine, service = speaker
    exchange = Exchange(make_app(service), b'{"input": "one.two.three.four", "response_format": "wav"}')
    await exchange.next()
    await exchange.next()
    exchange.leave()
    await exchange.task
    assert service.scheduler.load().in_flight == 0
    engine.go.release(5)
    await until(lambda: service.scheduler.load().slots_busy == 0)
    assert len(engine.spoken) <= 2
    assert counted(service, "speech_requests_completed_total", code="499") == 1


async def test_a_failure_in_the_middle_breaks_the_stream_off(speaker) -> None:
    engine, service = speaker
    engine.go.release(5)
    exchange = Exchange(make_app(service), b'{"input": "one.fail", "response_format": "wav"}')
    with pytest.raises(Exception, match="no sound"):
        await exchange.task
    assert counted(service, "speech_requests_completed_total", code="500") == 1


def client(service) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(make_app(service)), base_url="http://server")


async def test_a_short_text_comes_whole_with_its_length(speaker) -> None:
    _, service = speaker
    async with client(service) as http:
        answer = await http.post("/v1/audio/speech", json={"input": "one", "response_format": "flac"})
    sound, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate_hz == RATE_HZ
    assert (sound == LOUD).all()
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_every_field_reaches_the_engine(speaker) -> None:
    engine, service = speaker
    file = io.BytesIO()
    soundfile.write(file, np.tile(LOUD, 4), RATE_HZ, format="WAV")
    reference = base64.b64encode(file.getvalue()).decode()
    body = {"input": "one", "voice": {"id": "second"}, "instructions": "happy", "speed": 1.5, "language": "zh_us"}
    async with client(service) as http:
        assert (await http.post("/v1/audio/speech", json={**body, "reference_audio": reference})).status_code == 200
    (wish,) = engine.wishes
    assert (wish.text, wish.voice, wish.prompt, wish.speed) == ("one", "second", "happy", 1.5)
    assert wish.reference.size == 4 * RATE_HZ


async def test_the_characters_stand_in_the_usage_record(speaker, caplog) -> None:
    _, service = speaker
    with caplog.at_level("INFO", logger=USAGE):
        async with client(service) as http:
            await http.post("/v1/audio/speech", json={"input": "twelve chars"})
    (record,) = [record for record in caplog.records if record.name == USAGE]
    assert record.fields["characters"] == 12


async def test_without_a_voice_the_first_speaks(speaker) -> None:
    engine, service = speaker
    async with client(service) as http:
        await http.post("/v1/audio/speech", json={"input": "one"})
        assert (await http.get("/v1/audio/voices")).json() == {"voices": ["first", "second"]}
    assert engine.wishes[0].voice == "first"


async def test_a_reference_may_come_from_the_store(tmp_path) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.tile(LOUD, 3), RATE_HZ, format="FLAC")
    store = FolderStore(tmp_path)
    store.put("voices/alice.flac", file.getvalue(), "audio/flac")
    engine = Speaker()
    service = Service(engine, Metrics("tts", [0.8]), Lifecycle(0.0), sources=Sources(Fetcher([]), store))
    service.load()
    async with client(service) as http:

        async def status(reference_url: str) -> tuple[int, str | None]:
            answer = await http.post(
                "/v1/audio/speech", json={"input": "one", "response_format": "wav", "reference_url": reference_url}
            )
            return answer.status_code, answer.json()["error"]["code"] if answer.status_code != 200 else None

        assert await status("store:voices/alice.flac") == (200, None)
        assert await status("store:voices/bob.flac") == (400, "object_not_found")
        assert await status("store:../../etc/passwd") == (400, "object_refused")
        assert await status("https://example.org/a.wav") == (400, "url_refused")
    assert engine.wishes[0].reference.size == 3 * RATE_HZ


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param({}, "input", id="no input"),
        pytest.param({"input": 5}, "input", id="a number as text"),
        pytest.param({"input": "a", "voice": "nobody"}, "voice", id="unknown voice"),
        pytest.param({"input": "a", "response_format": "aac"}, "response_format", id="a format that is not offered"),
        pytest.param({"input": "a", "speed": 5}, "speed", id="too fast"),
        pytest.param({"input": "a", "speed": "nan"}, "speed", id="no speed"),
        pytest.param({"input": "a", "stream_format": "sse"}, "stream_format", id="events"),
        pytest.param({"input": "a", "colour": "red"}, "colour", id="unknown field"),
        pytest.param({"input": "a", "reference_audio": "%%%"}, "reference_audio", id="no base64"),
        pytest.param({"input": "a", "reference_audio": "é"}, "reference_audio", id="no ASCII"),
        pytest.param({"input": "a", "reference_audio": "AAAA"}, "file", id="no sound"),
        pytest.param({"input": "a", "reference_url": "https://a.org/"}, "reference_url", id="a URL, none is allowed"),
    ],
)
async def test_bad_input_is_refused_and_named(speaker, body, param) -> None:
    _, service = speaker
    async with client(service) as http:
        answer = await http.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400
    assert param in answer.json()["error"]["param"]
