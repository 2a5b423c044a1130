"""From sound files to transcripts: decoded beside the event loop, recognised through the scheduler."""

from __future__ import annotations

import time
from asyncio import wrap_future
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from inference_server.audio.decode import AudioLimits, decode
from inference_server.audio.samples import Samples
from inference_server.audio.spans import Span
from inference_server.audio.transcripts import Transcript, make_segment
from inference_server.engines.recognition import RATE_HZ, Clip, Heard, Options, Recognizer
from inference_server.serving.scheduler import Place
from inference_server.serving.service import Service
from inference_server.telemetry.context import note_usage

_DECODERS = 2


@dataclass(frozen=True, slots=True)
class Recording:
    """Decoded sound and the spans of it that are to be recognised."""

    samples: Samples
    spans: Sequence[Span]

    @property
    def duration_s(self) -> float:
        """Length of the whole recording."""
        return self.samples.size / RATE_HZ

    def clips(self, options: Options) -> list[Clip]:
        """One clip for each span."""
        return [Clip(self.samples[span.start : span.end], options) for span in self.spans]

    def transcript(self, heard: Sequence[Heard]) -> Transcript:
        """What was heard in each span, put together."""
        segments = [
            make_segment(span.start / RATE_HZ, span.end / RATE_HZ, each)
            for span, each in zip(self.spans, heard, strict=True)
        ]
        return Transcript(self.duration_s, tuple(segments))


class Transcriber:
    """Turns files into transcripts for one engine."""

    def __init__(self, service: Service[Clip, Heard], engine: Recognizer, limits: AudioLimits) -> None:
        self._engine = engine
        self._metrics = service.metrics
        self._limits = limits
        self._decoders = ThreadPoolExecutor(_DECODERS, "decode")

    async def transcribe(self, files: Sequence[bytes], options: Options, place: Place[Clip, Heard]) -> list[Transcript]:
        """One transcript for each file, in order.

        Raises:
            Refusal: a file that is no sound, too long or too short; no capacity.
        """
        recordings, futures = await wrap_future(self._decoders.submit(self._queue, files, options, place))
        audio_s = sum(recording.duration_s for recording in recordings)
        self._metrics.input_audio(audio_s)
        note_usage(audio_s=audio_s)
        heard = [await wrap_future(future) for future in futures]
        begun_s = time.perf_counter()
        results = iter(heard)
        transcripts = [recording.transcript([next(results) for _ in recording.spans]) for recording in recordings]
        self._metrics.phase("post", time.perf_counter() - begun_s)
        return transcripts

    def _queue(
        self, files: Sequence[bytes], options: Options, place: Place[Clip, Heard]
    ) -> tuple[list[Recording], list[Future[Heard]]]:
        """Decode, and queue from here: the model need not wait for the event loop to pass the sound on.

        The limit holds for all files together, as all of them are in memory together.
        """
        recordings: list[Recording] = []
        left_s = self._limits.max_s
        for file in files:
            recordings.append(self._read(file, replace(self._limits, max_s=left_s)))
            left_s -= recordings[-1].duration_s
        return recordings, place.submit([clip for recording in recordings for clip in recording.clips(options)])

    def _read(self, file: bytes, limits: AudioLimits) -> Recording:
        begun_s = time.perf_counter()
        samples = decode(file, RATE_HZ, limits)
        whole = [Span(0, samples.size)]
        spans = whole if samples.size <= self._engine.max_clip_s * RATE_HZ else self._engine.split(samples)
        self._metrics.phase("decode", time.perf_counter() - begun_s)
        return Recording(samples, spans)
