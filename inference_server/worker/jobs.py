"""How each kind of task is computed by the engine behind a service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from inference_server.errors import Refusal, bad_request
from inference_server.serving.service import AnyService
from inference_server.worker.task import Recognize, Sleep, Speak, Task


@dataclass(frozen=True, slots=True)
class Done:
    """A result: fields for its JSON, and for speech the sound."""

    fields: dict[str, Any]
    sound: bytes | None = None
    extension: str = ""
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of task and how it is computed."""

    takes: type[Task]
    compute: Callable[[Any], Awaitable[Done]]

    async def run(self, task: Task) -> Done:
        """Compute a task.

        Raises:
            Refusal: a task of another kind, or one that cannot be met; 5xx where trying again may help.
        """
        if not isinstance(task, self.takes):
            raise bad_request(f"this worker does not take {task.kind}", param="kind", code="wrong_worker")
        return await self.compute(task)


def job_for(service: AnyService) -> Job:
    """The job of this service's kind of engine."""
    makers = {"sleep": _sleeping, "recognition": _recognizing, "synthesis": _speaking}
    return makers[service.engine.kind](service)


def _sleeping(service: AnyService) -> Job:
    from inference_server.engines.sleeper import Nap

    async def compute(task: Sleep) -> Done:
        with service.scheduler.enter() as place:
            (future,) = place.submit([Nap(task.service_s)])
            return Done({"service_s": await asyncio.wrap_future(future)})

    return Job(Sleep, compute)


def _recognizing(service: AnyService) -> Job:
    from inference_server.audio.decode import AudioLimits
    from inference_server.audio.transcripts import verbose_json
    from inference_server.engines.recognition import Options
    from inference_server.serving.transcriber import Transcriber

    engine: Any = service.engine  # of the kind that `job_for` looked up
    transcriber = Transcriber(service, engine, AudioLimits())

    async def compute(wish: Recognize) -> Done:
        sound = await _source(service, wish.audio)
        options = Options(wish.language, wish.use_itn, wish.words)
        with service.scheduler.enter() as place:
            (transcript,) = await transcriber.transcribe([sound], options, place)
        return Done(verbose_json(transcript, words=wish.words))

    return Job(Recognize, compute)


def _speaking(service: AnyService) -> Job:
    import numpy as np

    from inference_server.audio.decode import decode_reference
    from inference_server.audio.encode import MEDIA_TYPES, encode_whole
    from inference_server.engines.synthesis import Wish

    engine: Any = service.engine

    async def compute(wish: Speak) -> Done:
        reference = None
        if wish.reference_url is not None:
            data = await _source(service, wish.reference_url)
            reference = await asyncio.to_thread(decode_reference, data, engine.reference_rate_hz)
        voice = wish.voice or engine.voices[0]
        planned = Wish(wish.input, voice, wish.prompt, wish.speed, reference)
        sentences = await asyncio.to_thread(engine.plan, planned)
        service.metrics.input_characters(len(wish.input))
        with service.scheduler.enter() as place:
            chunks = [await asyncio.wrap_future(future) for future in place.submit(sentences)]
        sound = np.concatenate(chunks)
        encoded = await asyncio.to_thread(encode_whole, wish.response_format, engine.rate_hz, sound)
        fields = {"duration": sound.size / engine.rate_hz, "voice": voice}
        return Done(fields, encoded, wish.response_format, MEDIA_TYPES[wish.response_format])

    return Job(Speak, compute)


async def _source(service: AnyService, reference: str) -> bytes:
    if service.sources is None:
        raise Refusal(400, "bad_request", "this worker fetches nothing", code="url_refused", param="audio")
    return await service.sources.get(reference)
