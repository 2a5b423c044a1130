"""Sound out, as a stream: each call gives the bytes that a player can already play."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import soundfile
import soxr

from inference_server.audio.samples import Pcm

Format = Literal["mp3", "wav", "flac", "opus", "pcm"]

MEDIA_TYPES: dict[Format, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    "pcm": "audio/pcm;rate=24000;channels=1",
}
PCM_RATE_HZ = 24_000
"""OpenAI's `pcm` is 24 kHz, 16 bit, little-endian, whatever the model's rate."""

_UNKNOWN = 0xFFFFFFFF
_CONTAINERS: dict[Format, tuple[str, str]] = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "flac": ("FLAC", "PCM_16"),
    "opus": ("OGG", "OPUS"),
}


class Encoder(Protocol):
    """Encodes one sound, chunk by chunk."""

    def encode(self, chunk: Pcm) -> bytes:
        """The bytes that are ready after this chunk; may be none."""

    def finish(self) -> bytes:
        """The rest."""


def make_encoder(form: Format, rate_hz: int, samples: int | None = None) -> Encoder:
    """An encoder for mono sound at `rate_hz`.

    Args:
        form: of the output.
        rate_hz: of the input.
        samples: length of the whole sound, if it is known; WAV then carries it.
    """
    if form == "pcm":
        return _Raw(rate_hz)
    if form == "wav":
        return _Wav(rate_hz, samples)
    return _Compressed(form, rate_hz)


def encode_whole(form: Format, rate_hz: int, sound: Pcm) -> bytes:
    """A complete sound; its header tells its length."""
    if form in _CONTAINERS:
        written = io.BytesIO()
        with _open(written, form, rate_hz) as file:
            file.write(sound)
        return written.getvalue()
    encoder = make_encoder(form, rate_hz, sound.size)
    return encoder.encode(sound) + encoder.finish()


class _Raw:
    def __init__(self, rate_hz: int) -> None:
        self._resampler = soxr.ResampleStream(rate_hz, PCM_RATE_HZ, 1, dtype="int16")

    def encode(self, chunk: Pcm) -> bytes:
        return _little_endian(self._resampler.resample_chunk(chunk))

    def finish(self) -> bytes:
        return _little_endian(self._resampler.resample_chunk(np.zeros(0, np.int16), last=True))


@dataclass
class _Wav:
    """A header whose sizes are unknown, where they are, says so as streaming encoders do: all ones."""

    rate_hz: int
    samples: int | None
    _begun: bool = False

    def encode(self, chunk: Pcm) -> bytes:
        return self._header() + _little_endian(chunk)

    def finish(self) -> bytes:
        return self._header()

    def _header(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        data_bytes = _UNKNOWN if self.samples is None else 2 * self.samples
        riff_bytes = _UNKNOWN if self.samples is None else 36 + data_bytes
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, self.rate_hz, 2 * self.rate_hz, 2, 16)
        return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + form + struct.pack("<4sI", b"data", data_bytes)


class _Compressed:
    """Through libsndfile, which rewrites a header at the end; what was given out says that the length is unknown."""

    def __init__(self, form: Format, rate_hz: int) -> None:
        self._written = io.BytesIO()
        self._given_bytes = 0
        self._file = _open(self._written, form, rate_hz)

    def encode(self, chunk: Pcm) -> bytes:
        self._file.write(chunk)
        return self._new_bytes()

    def finish(self) -> bytes:
        self._file.close()
        return self._new_bytes()

    def _new_bytes(self) -> bytes:
        new = self._written.getvalue()[self._given_bytes :]
        self._given_bytes += len(new)
        return new


def _open(file: io.BytesIO, form: Format, rate_hz: int) -> soundfile.SoundFile:
    container, subtype = _CONTAINERS[form]
    # constant bit rate, so that a player can tell the length of a stream from its bytes
    mp3 = {"bitrate_mode": "CONSTANT", "compression_level": 0.5} if form == "mp3" else {}
    return soundfile.SoundFile(file, "w", rate_hz, 1, subtype=subtype, format=container, **mp3)


def _little_endian(chunk: Pcm) -> bytes:
    return chunk.astype("<i2", copy=False).tobytes()
