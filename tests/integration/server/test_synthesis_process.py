"""The tiny EmotiVoice behind HTTP: every format plays, bad input is refused, the official client works."""

from __future__ import annotations

import asyncio
import base64
import io
import time

import httpx
import numpy as np
import openai
import pytest
import soundfile

PATH = "/v1/audio/speech"
LONG_TEXT = "你好，今天天气真不错。" * 12
RATE_HZ = 16_000


def session(server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, timeout=120)


def played(data: bytes) -> np.ndarray:
    blocks = []
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        while file.tell() < 600 * RATE_HZ and len(block := file.read(4000)):
            blocks.append(block)
    return np.concatenate(blocks)


@pytest.mark.parametrize("form", ["mp3", "wav", "flac", "opus"])
async def test_every_format_plays(emotivoice_server, form) -> None:
    async with session(emotivoice_server) as http:
        answer = await http.post(PATH, json={"input": "你好，世界。", "response_format": form})
    assert answer.status_code == 200
    assert played(answer.content).size > 0.1 * RATE_HZ


async def test_pcm_is_24_khz(emotivoice_server) -> None:
    async with session(emotivoice_server) as http:
        wav = await http.post(PATH, json={"input": "Good morning.", "response_format": "wav"})
        pcm = await http.post(PATH, json={"input": "Good morning.", "response_format": "pcm"})
    assert len(pcm.content) / 2 / 24_000 == pytest.approx(played(wav.content).size / RATE_HZ, abs=0.01)


async def test_a_long_text_begins_to_sound_before_it_is_complete(emotivoice_server) -> None:
    async with (
        session(emotivoice_server) as http,
        http.stream("POST", PATH, json={"input": LONG_TEXT, "response_format": "wav"}) as answer,
    ):
        chunks = [chunk async for chunk in answer.aiter_raw()]
    assert len(chunks) > 3
    assert played(b"".join(chunks)).size > RATE_HZ
    firsts = emotivoice_server.metric("speech_time_to_first_audio_seconds_sum")
    assert firsts < emotivoice_server.metric("speech_request_duration_seconds_sum")


async def test_the_same_text_sounds_the_same_alone_and_among_others(emotivoice_server) -> None:
    texts = ["你好。", "Good morning.", "今天天气真不错。", "The train is late."]

    async def speak(http: httpx.AsyncClient, text: str) -> np.ndarray:
        answer = await http.post(PATH, json={"input": text, "response_format": "wav"})
        return soundfile.read(io.BytesIO(answer.content), dtype="int16")[0]

    async with session(emotivoice_server) as http:
        alone = [await speak(http, text) for text in texts]
        together = await asyncio.gather(*(speak(http, text) for text in texts * 4))
    for position, sound in enumerate(together):
        assert np.abs(sound.astype(int) - alone[position % len(texts)]).max() <= 2


def test_the_official_client_works_unchanged(emotivoice_server, tmp_path) -> None:
    client = openai.OpenAI(base_url=f"{emotivoice_server.url}/v1", api_key="unused", max_retries=0)
    try:
        with client.audio.speech.with_streaming_response.create(
            model="emoti-voice", voice="8051", input=LONG_TEXT, response_format="wav", instructions="开心"
        ) as answer:
            answer.stream_to_file(tmp_path / "speech.wav")
        whole = client.audio.speech.create(model="tts-1", voice="8051", input="你好。")
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.speech.create(model="tts-1", voice="nobody", input="你好。")
    finally:
        client.close()
    assert played((tmp_path / "speech.wav").read_bytes()).size > RATE_HZ
    assert played(whole.content).size > 0.1 * RATE_HZ
    assert (refused.value.code, refused.value.param) == ("voice_not_found", "voice")


def reference(seconds: float) -> str:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, int(seconds * RATE_HZ)), RATE_HZ, format="WAV")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param({"input": ""}, "nothing_to_speak", id="empty text"),
        pytest.param({"input": "   \n\t"}, "nothing_to_speak", id="blanks"),
        pytest.param({"input": "😀🎉👍"}, "nothing_to_speak", id="emoji only"),
        pytest.param({"input": "。" * 50}, "nothing_to_speak", id="marks only"),
        pytest.param({"input": "好" * 100_000}, "text_too_long", id="100 k characters"),
        pytest.param({"input": "好", "prompt": "开" * 100_000}, "text_too_long", id="100 k characters of prompt"),
        pytest.param({"input": "好", "voice": "nobody"}, "voice_not_found", id="unknown voice"),
        pytest.param({"input": "好", "reference_audio": reference(5)}, "cloning_unavailable", id="cloning"),
    ],
)
async def test_bad_input_is_refused_at_once(emotivoice_server, body, code) -> None:
    begun_s = time.perf_counter()
    async with session(emotivoice_server) as http:
        answer = await http.post(PATH, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert time.perf_counter() - begun_s < 5
