"""Sound out: every format can be played, as a whole and as a stream."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from inference_server.audio.encode import PCM_RATE_HZ, encode_whole, make_encoder

RATE_HZ = 16_000
SECONDS = 2.0
TONE = (0.4 * 32767 * np.sin(2 * np.pi * 440 * np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ)).astype(np.int16)
FORMATS = ["mp3", "wav", "flac", "opus", "pcm"]


def played(data: bytes, form: str) -> tuple[np.ndarray, int]:
    """What a player hears: read to the end, whatever the header says of the length."""
    if form == "pcm":
        return np.frombuffer(data, "<i2") / 32768, PCM_RATE_HZ
    blocks = []
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        while file.tell() < 10 * RATE_HZ and len(block := file.read(1000)):
            blocks.append(block)
        return np.concatenate(blocks), file.samplerate


def streamed(form: str) -> list[bytes]:
    encoder = make_encoder(form, RATE_HZ)
    return [*(encoder.encode(part) for part in np.array_split(TONE, 3)), encoder.finish()]


def assert_is_tone(data: bytes, form: str) -> None:
    sound, rate_hz = played(data, form)
    assert sound.size / rate_hz == pytest.approx(SECONDS, abs=0.15)
    assert np.argmax(np.abs(np.fft.rfft(sound))) * rate_hz / sound.size == pytest.approx(440, abs=2)
    assert np.abs(sound).max() == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_sound_can_be_played(form: str) -> None:
    assert_is_tone(encode_whole(form, RATE_HZ, TONE), form)


@pytest.mark.parametrize("form", ["mp3", "wav", "opus"])
def test_a_streamed_sound_can_be_played(form: str) -> None:
    assert_is_tone(b"".join(streamed(form)), form)


def test_streamed_pcm_is_the_whole_resampled_without_seams() -> None:
    streamed_sound, _ = played(b"".join(streamed("pcm")), "pcm")
    whole, _ = played(encode_whole("pcm", RATE_HZ, TONE), "pcm")
    assert np.abs(streamed_sound - whole[: streamed_sound.size]).max() < 1e-3


def test_streamed_flac_has_the_samples_of_the_whole() -> None:
    data = b"".join(streamed("flac"))
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.read(1000, dtype="int16") == TONE[:1000]).all()


@pytest.mark.parametrize("form", FORMATS)
def test_the_first_bytes_come_with_the_first_chunk(form: str) -> None:
    assert len(streamed(form)[0]) > 100


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_lossless_whole_keeps_every_sample_and_tells_its_length(form: str) -> None:
    sound, rate_hz = soundfile.read(io.BytesIO(encode_whole(form, RATE_HZ, TONE)), dtype="int16")
    assert rate_hz == RATE_HZ
    assert (sound == TONE).all()
