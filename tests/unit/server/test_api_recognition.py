"""The forms of the recognition routes, in front of a recogniser that answers at once."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

import httpx
import numpy as np
import pytest
import soundfile

from inference_server.api.app import make_app
from inference_server.audio.decode import AudioLimits
from inference_server.engines.engine import BatchLimits
from inference_server.engines.recognition import RATE_HZ, Clip, Heard, Options
from inference_server.errors import Refusal
from inference_server.serving.lifecycle import Lifecycle
from inference_server.serving.service import Service
from inference_server.serving.transcriber import Transcriber
from inference_server.telemetry.metrics import Metrics

TRANSCRIPTIONS = "/v1/audio/transcriptions"


class Instant:
    """Remembers the options it was called with."""

    kind = "recognition"
    model = "instant"
    device = "none"
    slots = 1
    max_clip_s = 30.0
    batching = BatchLimits()

    def __init__(self) -> None:
        self.options: list[Options] = []

    def load(self, phase) -> None: ...

    def run(self, batch: Sequence[Clip]) -> list[Heard]:
        self.options += [clip.options for clip in batch]
        return [Heard("<|en|><|NEUTRAL|><|Speech|>one")] * len(batch)


def sound(seconds: float = 0.5) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(int(seconds * RATE_HZ), np.float32), RATE_HZ, format="WAV")
    return file.getvalue()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Instant, Service, httpx.AsyncClient]]:
    engine = Instant()
    service = Service(engine, Metrics("asr", []), Lifecycle(0.0))
    service.load()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app(service)), base_url="http://server") as http:
        yield engine, service, http
    await asyncio.to_thread(service.scheduler.close)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        pytest.param({}, Options(), id="defaults"),
        pytest.param({"language": "", "prompt": "", "temperature": ""}, Options(), id="empty fields count as absent"),
        pytest.param({"language": "ja", "use_itn": "false"}, Options("ja", use_itn=False), id="language, no numerals"),
        pytest.param({"response_format": "srt"}, Options(words=True), id="subtitles need times"),
        pytest.param(
            {"response_format": "verbose_json", "timestamp_granularities[]": ["segment", "word"]},
            Options(words=True),
            id="a list",
        ),
        pytest.param({"chunking_strategy": "auto"}, Options(), id="fields of newer clients are ignored"),
    ],
)
async def test_fields_become_options(served, fields: dict, options: Options) -> None:
    engine, _, http = served
    answer = await http.post(TRANSCRIPTIONS, data=fields, files={"file": sound()})
    assert answer.status_code == 200, answer.text
    assert engine.options == [options]


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        pytest.param({}, [], "file", id="no file"),
        pytest.param({"file": "text"}, [], "file", id="a field in place of the file"),
        pytest.param({"language": "xx"}, [("file", sound())], "language", id="unknown language"),
        pytest.param({"temperature": "2"}, [("file", sound())], "temperature", id="out of range"),
        pytest.param({"prompt": "hello"}, [("file", sound())], "prompt", id="not supported"),
        pytest.param(
            {"timestamp_granularities[]": "word"},
            [("file", sound())],
            "timestamp_granularities[]",
            id="words need JSON",
        ),
        pytest.param({}, [("file", sound()), ("file", sound())], None, id="two files"),
        pytest.param({f"f{n}": "1" for n in range(65)}, [("file", sound())], None, id="65 fields"),
        pytest.param({"x": "y" * 70_000}, [("file", sound())], None, id="a field of 70 kB"),
    ],
)
async def test_forms_that_cannot_be_used_are_a_400_that_names_the_field(served, fields, files, param) -> None:
    _, _, http = served
    body = [*((name, (None, value)) for name, value in fields.items()), *files]
    answer = await http.post(TRANSCRIPTIONS, files=body or {"": (None, "")})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("multipart/form-data", b"x", id="no boundary"),
        pytest.param("multipart/form-data; boundary=b", b"--b\r\nrubbish", id="not multipart"),
        pytest.param("application/json", b"{}", id="JSON"),
        pytest.param("application/x-www-form-urlencoded", b"file=x", id="a form without files"),
    ],
)
async def test_other_bodies_are_a_400(served, content_type: str, body: bytes) -> None:
    _, _, http = served
    answer = await http.post(TRANSCRIPTIONS, content=body, headers={"content-type": content_type})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_several_files_keep_their_order_and_their_keys(served) -> None:
    _, _, http = served
    files = [("files", ("a.wav", sound())), ("files", ("b.wav", sound()))]
    assert [each["key"] for each in (await http.post("/api/v1/asr", files=files)).json()["result"]] == [
        "a.wav",
        "b.wav",
    ]
    named = await http.post("/api/v1/asr", files=files, data={"keys": "x,y"})
    assert [each["key"] for each in named.json()["result"]] == ["x", "y"]
    assert (await http.post("/api/v1/asr", files=files, data={"keys": "x"})).status_code == 400
    assert (await http.post("/api/v1/asr", files=[("files", sound(0.1))] * 17)).status_code == 400


async def test_the_limit_of_duration_holds_for_all_files_of_a_request_together(served) -> None:
    engine, service, _ = served
    transcriber = Transcriber(service, engine, AudioLimits(max_s=5.0))
    with service.scheduler.enter() as place:
        taken = await transcriber.transcribe([sound(2.4)] * 2, Options(), place)
    assert [transcript.duration_s for transcript in taken] == [2.4, 2.4]
    with service.scheduler.enter() as place, pytest.raises(Refusal) as refused:
        await transcriber.transcribe([sound(2.6)] * 2, Options(), place)
    assert refused.value.status == 413
