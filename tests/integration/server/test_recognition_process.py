"""The digits model behind HTTP: accuracy, batches, forms, bad input, the official client, health under load."""

from __future__ import annotations

import asyncio
import io
import time
from itertools import pairwise

import httpx
import numpy as np
import openai
import psutil
import pytest
import soundfile
from server_load import closed_loop, probing, quantile, upload

PATH = "/v1/audio/transcriptions"


async def transcribe(http: httpx.AsyncClient, data: bytes, **fields: str) -> dict:
    answer = await http.post(PATH, files={"file": ("clip.wav", data)}, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def session(server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, timeout=120)


@pytest.mark.parametrize(
    ("use_itn", "exact", "language"),
    [pytest.param("false", 0.900, 0.850, id="words"), pytest.param("true", 0.933, 0.850, id="digits")],
)
async def test_accuracy_is_that_of_the_models_readme(digits_server, digit_clips, use_itn, exact, language) -> None:
    async with session(digits_server) as http:
        answers = [await transcribe(http, clip.path.read_bytes(), use_itn=use_itn) for clip in digit_clips]
    wanted = [clip.digits if use_itn == "true" else clip.words for clip in digit_clips]
    right = [answer["text"] == text for answer, text in zip(answers, wanted, strict=True)]
    languages = [answer["language"] == clip.language for answer, clip in zip(answers, digit_clips, strict=True)]
    assert sum(right) / len(right) == pytest.approx(exact, abs=0.01)
    assert sum(languages) / len(languages) == pytest.approx(language, abs=0.01)


async def test_a_batch_gives_what_single_clips_give(digits_server, digit_clips) -> None:
    files = [clip.path.read_bytes() for clip in digit_clips]
    batches_before = digits_server.metric("speech_batch_size_count")
    async with session(digits_server) as http:
        together = await asyncio.gather(*(transcribe(http, data) for data in files))
        batches = digits_server.metric("speech_batch_size_count") - batches_before
        alone = [await transcribe(http, data) for data in files]
    assert together == alone
    assert batches < len(files)


async def test_naming_the_language_makes_every_spoken_clip_right(digits_server, digit_clips) -> None:
    """The README's 60 clips: 1.000 with the language named by the caller."""
    spoken = [clip for clip in digit_clips if clip.language != "nospeech"]
    async with session(digits_server) as http:
        answers = [
            await transcribe(http, clip.path.read_bytes(), use_itn="false", language=clip.language) for clip in spoken
        ]
    assert [answer["text"] for answer in answers] == [clip.words for clip in spoken]


def join_with_pauses(clips, pause_s: float) -> tuple[bytes, float]:
    pause = np.zeros(int(pause_s * 16_000), np.float32)
    parts = [part for clip in clips for part in (soundfile.read(clip.path, dtype="float32")[0], pause)]
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(parts), 16_000, format="WAV")
    return file.getvalue(), sum(part.size for part in parts) / 16_000


async def test_a_long_recording_is_cut_where_nobody_speaks(digits_server, digit_clips) -> None:
    clips = [clip for clip in digit_clips if clip.language == "en"] * 4
    data, duration_s = join_with_pauses(clips, 0.75)
    async with session(digits_server) as http:
        answer = await transcribe(http, data, response_format="verbose_json", use_itn="false", language="en")
    assert duration_s > 60
    assert answer["duration"] == pytest.approx(duration_s, abs=0.01)
    segments = answer["segments"]
    assert len(segments) >= 4
    assert all(s["end"] - s["start"] <= 30 for s in segments)
    assert all(a["end"] <= b["start"] for a, b in pairwise(segments))
    said, heard = " ".join(clip.words for clip in clips).split(), answer["text"].split()
    assert len(heard) == pytest.approx(len(said), rel=0.15)


async def test_silence_is_an_empty_text(digits_server) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(40 * 16_000, np.float32), 16_000, format="FLAC")
    async with session(digits_server) as http:
        answer = await transcribe(http, file.getvalue())
    assert (answer["text"], answer["usage"]["seconds"]) == ("", 40.0)


async def test_every_form_is_written(digits_server, digit_clips) -> None:
    data = digit_clips[10].path.read_bytes()
    async with session(digits_server) as http:

        async def render(**fields: str) -> httpx.Response:
            return await http.post(PATH, files={"file": ("a.wav", data)}, data=fields)

        assert (await render(response_format="text")).text == "95\n"
        assert (await render(response_format="srt")).text.startswith("1\n00:00:00,")
        assert (await render(response_format="vtt")).text.startswith("WEBVTT\n\n00:00:00.")
        verbose = (
            await render(response_format="verbose_json", use_itn="false", **{"timestamp_granularities[]": "word"})
        ).json()
    assert verbose["text"] == "nine five"
    assert [word["word"] for word in verbose["words"]] == ["nine", "five"]
    assert 0 < verbose["words"][0]["start"] < verbose["words"][1]["start"] < verbose["duration"]
    assert (verbose["segments"][0]["emotion"], verbose["segments"][0]["event"]) == ("happy", "speech")


async def test_upstreams_form_takes_several_files(digits_server, digit_clips) -> None:
    files = [("files", (clip.path.name, clip.path.read_bytes())) for clip in digit_clips[8:12]]
    async with session(digits_server) as http:
        named = (await http.post("/api/v1/asr", files=files, data={"keys": "a,b,c,d", "lang": "auto"})).json()
        unnamed = (await http.post("/api/v1/asr", files=files)).json()
        wrong = await http.post("/api/v1/asr", files=files, data={"keys": "a,b"})
    assert [entry["key"] for entry in named["result"]] == ["a", "b", "c", "d"]
    assert [entry["key"] for entry in unnamed["result"]] == [clip.path.name for clip in digit_clips[8:12]]
    assert named["result"][2]["raw_text"].startswith("<|en|><|HAPPY|><|Speech|><|woitn|>")
    assert named["result"][2]["clean_text"] == "nine five"
    assert wrong.status_code == 400


def test_the_official_client_works_unchanged(digits_server, digit_clips) -> None:
    client = openai.OpenAI(base_url=f"{digits_server.url}/v1", api_key="unused", max_retries=0)
    try:
        assert [model.id for model in client.models.list()] == ["sensevoice-digits"]
        with digit_clips[10].path.open("rb") as file:
            plain = client.audio.transcriptions.create(file=file, model="whisper-1")
        verbose = client.audio.transcriptions.create(
            file=digit_clips[10].path,
            model="sensevoice-digits",
            response_format="verbose_json",
            timestamp_granularities=["word"],
            language="en",
        )
        assert (
            client.audio.transcriptions.create(
                file=digit_clips[10].path, model="whisper-1", response_format="text"
            ).strip()
            == "95"
        )
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.transcriptions.create(file=("a.wav", b"no sound"), model="whisper-1")
        with pytest.raises(openai.NotFoundError):
            client.audio.transcriptions.create(file=digit_clips[10].path, model="nope")
    finally:
        client.close()
    assert plain.text == "95"
    assert verbose.words[0].word == "9"
    assert verbose.segments[0].text == "95"
    assert refused.value.code == "invalid_audio"
    assert refused.value.param == "file"


FILE = {"file": ("a.wav", b"")}


@pytest.mark.parametrize(
    ("files", "fields", "status", "param"),
    [
        pytest.param(FILE, {}, 400, "file", id="empty file"),
        pytest.param({"file": ("list.txt", b"http://127.0.0.1:9/x.wav\n")}, {}, 400, "file", id="a list of URLs"),
        pytest.param({"file": ("a.jsonl", b'{"source": "/etc/passwd"}')}, {}, 400, "file", id="a list of paths"),
        pytest.param({"file": ("a.wav", b"RIFF" + b"\0" * 100_000)}, {}, 400, "file", id="zeros"),
        pytest.param(None, {"file": "/etc/passwd"}, 400, "file", id="a path instead of a file"),
        pytest.param(None, {}, 400, "file", id="no file"),
        pytest.param(FILE, {"language": "english"}, 400, "language", id="unknown language"),
        pytest.param(FILE, {"response_format": "xml"}, 400, "response_format", id="unknown form"),
        pytest.param(FILE, {"use_itn": "perhaps"}, 400, "use_itn", id="no boolean"),
        pytest.param(FILE, {"temperature": "2"}, 400, "temperature", id="temperature beyond 1"),
        pytest.param(FILE, {"prompt": "hello"}, 400, "prompt", id="a prompt"),
        pytest.param(FILE, {"stream": "true"}, 400, "stream", id="streaming"),
        pytest.param(FILE, {"model": "../../etc"}, 404, "model", id="unknown model"),
    ],
)
async def test_bad_input_is_refused_at_once_and_named(digits_server, files, fields, status, param) -> None:
    begun_s = time.perf_counter()
    async with session(digits_server) as http:
        answer = await http.post(PATH, files=files, data=fields)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param
    assert time.perf_counter() - begun_s < 5


def test_health_answers_at_once_while_64_clients_upload(digits_server, digit_clips) -> None:
    """A blocked event loop answers health after as long as requests take; docs/server.md has the figures."""
    port = int(digits_server.url.rpartition(":")[2])
    requests = [upload(port, PATH, "a.wav", clip.path.read_bytes(), {}) for clip in digit_clips]
    with probing(f"{digits_server.url}/healthz") as (health_s,):
        load = asyncio.run(closed_loop(port, requests, clients=64, total=192))
    assert load.failures == 0
    assert quantile(health_s, 0.9) < 0.2 * quantile(load.latencies_s, 0.5)


async def test_a_long_overload_of_bad_and_good_input_leaves_the_server_as_it_was(digits_server, digit_clips) -> None:
    good = digit_clips[10].path.read_bytes()
    process = psutil.Process(digits_server.process.pid)
    async with session(digits_server) as http:

        async def one(number: int) -> None:
            data = [good, good[: 44 + number * 7], b"text", good[:20]][number % 4]
            await http.post(PATH, files={"file": ("a.wav", data)})

        await asyncio.gather(*(one(number) for number in range(200)))
        before_bytes = process.memory_info().rss
        for _ in range(3):
            await asyncio.gather(*(one(number) for number in range(200)))
        assert process.memory_info().rss - before_bytes < 64 << 20
        assert (await transcribe(http, good))["text"] == "95"
    assert digits_server.metric("speech_requests_in_flight") == 0
