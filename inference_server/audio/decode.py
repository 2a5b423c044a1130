"""Any sound file to mono samples at one rate, in bounded time and memory.

A header is never believed: sound is read and resampled block by block until the limit, so neither a header of ten hours
nor ten hours of silence in a few kilobytes of FLAC costs more than the limit does, at whatever rate the file has.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from inference_server.audio.samples import Samples
from inference_server.errors import Refusal

_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM")
_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "MPEG", "AIFF"})
_BLOCK_FRAMES = 1 << 16
_LOUDEST = 8.0
"""Float files may overshoot 1; far beyond it the samples are integers in disguise."""


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """What is taken as audio.

    Attributes:
        min_s: shorter clips get arbitrary tags from the model (research: speech, 2c, 4).
        max_s: longest duration.
        min_rate_hz, max_rate_hz: sample rates of the file.
        max_channels: of the file; they are averaged.
    """

    min_s: float = 0.1
    max_s: float = 1800.0
    min_rate_hz: int = 4000
    max_rate_hz: int = 192_000
    max_channels: int = 8


_REFERENCE_LIMITS = AudioLimits(max_s=30.0)


def decode(data: bytes, rate_hz: int, limits: AudioLimits) -> Samples:
    """Read WAV, FLAC, Ogg (Vorbis, Opus), MP3 or AIFF.

    Args:
        data: the file.
        rate_hz: of the samples that are returned.
        limits: what is taken.

    Returns:
        mono float32 in -1..1, one dimension.

    Raises:
        Refusal: 400 `bad_audio` for what is no such file or holds impossible samples, 413 `too_long`.
    """
    if not _looks_like_sound(data[:4]):
        raise _bad("not a sound file; allowed: WAV, FLAC, Ogg, MP3, AIFF")
    try:
        with _Stream(_Forgiving(data)) as sound:
            _check_header(sound, limits)
            return _read_mono(sound, rate_hz, limits)
    except (soundfile.LibsndfileError, RuntimeError, ValueError, EOFError) as error:
        raise _bad("the sound file is damaged") from error


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """Reads from front to end.

    `SoundFile` seeks after each read where the file can: FLAC then searches, and MP3 loses its decoder's state, about
    which libmpg123 complains on stderr.
    """

    def seekable(self) -> bool:
        return False


class _Forgiving(io.BytesIO):
    """A file that stays where it is when it is told to go where it cannot.

    A damaged header makes libsndfile seek before the start; an exception could not leave its callback.
    """

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return self.tell()


def _bad(message: str) -> Refusal:
    return Refusal(400, "bad_audio", message, code="invalid_audio", param="file")


def _too_long(limits: AudioLimits) -> Refusal:
    return Refusal(
        413, "too_long", f"the clip may last at most {limits.max_s:g} s", code="audio_too_long", param="file"
    )


def decode_reference(data: bytes, rate_hz: int) -> Samples:
    """A sample of somebody's voice: `decode` with a length that is one; the model knows the exact bounds."""
    return decode(data, rate_hz, _REFERENCE_LIMITS)


def _looks_like_sound(magic: bytes) -> bool:
    is_mpeg_frame = len(magic) > 1 and magic[0] == 0xFF and magic[1] & 0xE0 == 0xE0  # 11 bits of sync
    return magic.startswith(_MAGIC) or is_mpeg_frame


def _check_header(sound: soundfile.SoundFile, limits: AudioLimits) -> None:
    if sound.format not in _FORMATS:
        raise _bad(f"the container {sound.format} is not supported; allowed: WAV, FLAC, Ogg, MP3, AIFF")
    if not 1 <= sound.channels <= limits.max_channels:
        raise _bad(f"{sound.channels} channels; allowed: 1 to {limits.max_channels}")
    if not limits.min_rate_hz <= sound.samplerate <= limits.max_rate_hz:
        raise _bad(f"{sound.samplerate} Hz; allowed: {limits.min_rate_hz} to {limits.max_rate_hz}")


def _read_mono(sound: soundfile.SoundFile, rate_hz: int, limits: AudioLimits) -> Samples:
    """Everything that `sound` holds, at `rate_hz`; raises `Refusal` as `decode` does."""
    file_rate_hz: int = sound.samplerate
    resampler = None if file_rate_hz == rate_hz else soxr.ResampleStream(file_rate_hz, rate_hz, 1, dtype="float32")
    parts: list[Samples] = []
    frames = 0
    for block in _blocks(sound):
        frames += len(block)
        if frames > int(limits.max_s * file_rate_hz):
            raise _too_long(limits)
        mono = block[:, 0] if sound.channels == 1 else block.mean(axis=1, dtype=np.float32)
        loudest = _loudest(mono)
        if resampler is not None:
            mono = resampler.resample_chunk(mono)
        if resampler is not None or loudest > 1.0:
            np.clip(mono, -1.0, 1.0, out=mono)
        parts.append(mono)
    if frames < limits.min_s * file_rate_hz:
        raise _bad(f"the clip must last at least {limits.min_s:g} s; it lasts {frames / file_rate_hz:.4f} s")
    if resampler is not None:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True).clip(-1.0, 1.0))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _blocks(sound: soundfile.SoundFile) -> Iterator[Samples]:
    """What the file holds, frames x channels; each block is memory of its own. The header's length is but a hint."""
    frames = max(1, min(sound.frames, _BLOCK_FRAMES))
    while len(block := sound.read(out=np.empty((frames, sound.channels), np.float32))):
        yield block


def _loudest(mono: Samples) -> float:
    """The largest absolute value; raises `Refusal` where it is no sound's."""
    lowest, highest = float(mono.min()), float(mono.max())  # NaN where any sample is
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise _bad("the samples hold NaN or infinity")
    loudest = max(-lowest, highest)
    if loudest > _LOUDEST:
        raise _bad("float samples must lie in -1..1")
    return loudest
