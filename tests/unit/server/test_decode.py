"""What is taken as sound, what it becomes, and what is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.audio.decode import AudioLimits, decode
from inference_server.errors import Refusal

RATE_HZ = 16_000
LIMITS = AudioLimits(min_s=0.1, max_s=5.0)


def tone(seconds: float = 0.5, rate_hz: int = RATE_HZ, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def encoded(samples: np.ndarray, rate_hz: int = RATE_HZ, container: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def pitch_hz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE_HZ / samples.size)


def floats(*values: float) -> bytes:
    return encoded(np.concatenate([tone()[:, 0], np.array(values, np.float32)]), subtype="FLOAT")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(tone()), id="wav 16 bit"),
        pytest.param(encoded(tone(), subtype="FLOAT"), id="wav float"),
        pytest.param(encoded(tone(), subtype="PCM_24"), id="wav 24 bit"),
        pytest.param(encoded(tone(rate_hz=8000), 8000), id="8 kHz"),
        pytest.param(encoded(tone(rate_hz=44100), 44100), id="44.1 kHz"),
        pytest.param(encoded(tone(channels=2)), id="stereo"),
        pytest.param(encoded(tone(rate_hz=48000, channels=6), 48000), id="48 kHz, six channels"),
        pytest.param(encoded(tone(), container="FLAC"), id="flac"),
        pytest.param(encoded(tone(), container="OGG"), id="ogg vorbis"),
        pytest.param(encoded(tone(), container="OGG", subtype="OPUS"), id="ogg opus"),
        pytest.param(encoded(tone(rate_hz=44100), 44100, "MP3"), id="mp3"),
        pytest.param(encoded(tone(), container="AIFF"), id="aiff"),
        pytest.param(encoded(tone(), container="RF64"), id="rf64"),
    ],
)
def test_every_container_rate_and_channel_count_becomes_the_same_sound(data: bytes) -> None:
    samples = decode(data, RATE_HZ, LIMITS)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert samples.size == pytest.approx(0.5 * RATE_HZ, abs=0.1 * RATE_HZ)
    assert pitch_hz(samples) == pytest.approx(440, abs=5)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.1)


def claims_hours(data: bytes) -> bytes:
    huge = 10 * 3600 * 2 * RATE_HZ
    return data[:4] + struct.pack("<I", huge + 36) + data[8:40] + struct.pack("<I", huge) + data[44:]


def test_a_header_of_ten_hours_is_not_believed() -> None:
    assert decode(claims_hours(encoded(tone())), RATE_HZ, LIMITS).size == pytest.approx(8000, abs=1)


def test_half_a_file_is_taken_as_far_as_it_goes() -> None:
    data = encoded(tone(2.0))
    assert decode(data[: len(data) // 2], RATE_HZ, LIMITS).size == pytest.approx(16_000, abs=50)


def test_float_overshoot_is_clipped() -> None:
    assert np.abs(decode(floats(1.5, -1.5), RATE_HZ, LIMITS)).max() == 1.0


WAV = encoded(tone())

BAD = [
    pytest.param(b"", 400, id="empty"),
    pytest.param(WAV[:20], 400, id="cut in the header"),
    pytest.param(WAV[:44], 400, id="header only"),
    pytest.param(WAV[:46], 400, id="1 sample"),
    pytest.param(encoded(tone(0.099)), 400, id="just too short"),
    pytest.param(b"hello world " * 200, 400, id="text"),
    pytest.param(b"RIFF" + b"\0" * 500, 400, id="RIFF and zeros"),
    pytest.param(b"ID3" + b"\xff" * 5000, 400, id="ID3 and ones"),
    pytest.param(b"\xff\xfb" + bytes(range(256)) * 20, 400, id="an MPEG sync word and rubbish"),
    pytest.param(b"PK\x03\x04" + b"\0" * 5000, 400, id="zip"),
    pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 100, 400, id="png"),
    pytest.param(encoded(tone(), container="AU"), 400, id="a container that is not offered"),
    pytest.param(encoded(tone(rate_hz=2000), 2000), 400, id="2 kHz"),
    pytest.param(encoded(tone(channels=9)), 400, id="nine channels"),
    pytest.param(floats(float("nan")), 400, id="NaN"),
    pytest.param(floats(float("inf")), 400, id="infinity"),
    pytest.param(floats(32767.0), 400, id="integers as floats"),
    pytest.param(encoded(tone(5.01)), 413, id="longer than allowed"),
    pytest.param(encoded(np.zeros(600 * RATE_HZ, np.int16), container="FLAC"), 413, id="ten minutes in few bytes"),
]


@pytest.mark.parametrize(("data", "status"), BAD)
def test_what_is_no_usable_sound_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        decode(data, RATE_HZ, LIMITS)
    assert refused.value.status == status
    assert refused.value.reason == ("too_long" if status == 413 else "bad_audio")


def test_a_bomb_costs_no_more_memory_than_the_limit() -> None:
    bomb = encoded(np.zeros(3600 * RATE_HZ, np.int16), container="FLAC")
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    with pytest.raises(Refusal):
        decode(bomb, RATE_HZ, LIMITS)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 5 * RATE_HZ * 4 * 4


def test_long_sound_at_a_high_rate_costs_the_memory_of_what_it_becomes() -> None:
    limits = AudioLimits(max_s=60.0)
    data = encoded(np.zeros(60 * 192_000, np.int16), 192_000, "FLAC")
    tracemalloc.start()
    samples = decode(data, RATE_HZ, limits)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert samples.size == pytest.approx(60 * RATE_HZ, abs=2)
    assert peak_bytes < 3 * samples.nbytes


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_resampling_block_by_block_gives_what_resampling_the_whole_gives(rate_hz: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * rate_hz).astype(np.float32)
    samples = decode(encoded(noise, rate_hz, subtype="FLOAT"), RATE_HZ, LIMITS)
    np.testing.assert_allclose(samples, soxr.resample(noise, rate_hz, RATE_HZ).clip(-1, 1), atol=1e-5)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_sound_of_several_blocks_is_read_as_one_and_without_a_word(
    container: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(np.random.default_rng(0).normal(0, 0.1, 8 * RATE_HZ).astype(np.float32), container=container)
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    samples = decode(data, RATE_HZ, AudioLimits())
    np.testing.assert_allclose(samples, whole.clip(-1, 1), atol=1e-6)
    assert capfd.readouterr() == ("", "")


SEEDS = [
    encoded(tone(0.2)),
    encoded(tone(0.2), container="FLAC"),
    encoded(tone(0.2), container="OGG"),
    encoded(tone(0.2), container="OGG", subtype="OPUS"),
    encoded(tone(0.2, 44100), 44100, "MP3"),
    encoded(tone(0.2), container="AIFF"),
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 12))):
        data[draw(st.integers(0, min(len(data) - 1, 400)))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=40))


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_a_damaged_file_is_sound_or_a_refusal_never_anything_else(data: bytes) -> None:
    with contextlib.suppress(Refusal):
        samples = decode(data, RATE_HZ, LIMITS)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1.0
        assert samples.size <= LIMITS.max_s * RATE_HZ * 1.01
