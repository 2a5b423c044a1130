"""Text to speech: OpenAI's `/v1/audio/speech`, streamed sentence by sentence, and the list of voices."""

from __future__ import annotations

import base64
import time
from asyncio import wrap_future
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from inference_server.api.admission import attending, place_of
from inference_server.api.models import check_model
from inference_server.audio.decode import decode_reference
from inference_server.audio.encode import MEDIA_TYPES, Encoder, Format, encode_whole, make_encoder
from inference_server.audio.samples import Pcm
from inference_server.engines.synthesis import Sentence, SpeechSynthesizer, Wish
from inference_server.errors import bad_request
from inference_server.serving.service import Service
from inference_server.telemetry.context import note_usage

if TYPE_CHECKING:
    from inference_server.serving.scheduler import Place

SPEECH = "/v1/audio/speech"
_WORKERS = 2
_REFERENCE_BASE64 = 8 << 20


class CustomVoice(BaseModel):
    """OpenAI's other way to name a voice."""

    model_config = ConfigDict(extra="forbid")
    id: str


class SpeechRequest(BaseModel):
    """OpenAI's request, with upstream's `prompt`, and 3 to 10 s of sound to speak like."""

    model_config = ConfigDict(extra="forbid")
    input: str
    model: str = ""
    voice: str | CustomVoice = ""
    prompt: Annotated[str, Field(validation_alias=AliasChoices("prompt", "instructions"))] = ""
    response_format: Format = "mp3"
    speed: Annotated[float, Field(ge=0.25, le=4.0, allow_inf_nan=False)] = 1.0
    stream_format: Literal["audio"] = "audio"
    language: Annotated[str, Field(description="upstream's field; the language is told from the text")] = ""
    reference_audio: Annotated[str | None, Field(max_length=_REFERENCE_BASE64, description="base64")] = None
    reference_url: Annotated[str | None, Field(max_length=2048, description="https://…, or store:KEY")] = None

    @model_validator(mode="after")
    def _one_reference(self) -> SpeechRequest:
        if self.reference_audio is not None and self.reference_url is not None:
            raise ValueError("either reference_audio or reference_url, not both")
        return self


class Voices(BaseModel):
    """Who can speak."""

    voices: list[str]


def synthesis_routes(service: Service[Sentence, Pcm], engine: SpeechSynthesizer) -> APIRouter:
    """`POST /v1/audio/speech` and `GET /v1/audio/voices`."""
    router = APIRouter(tags=["synthesis"])
    workers = ThreadPoolExecutor(_WORKERS, "text-and-sound")

    def plan(wish: SpeechRequest, reference_bytes: bytes | None) -> Sequence[Sentence]:
        begun_s = time.perf_counter()
        voice = wish.voice if isinstance(wish.voice, str) else wish.voice.id
        reference = None if reference_bytes is None else decode_reference(reference_bytes, engine.reference_rate_hz)
        named = voice or next(iter(engine.voices), "")
        sentences = engine.plan(Wish(wish.input, named, wish.prompt, wish.speed, reference))
        service.metrics.phase("decode", time.perf_counter() - begun_s)
        return sentences

    @router.post(
        SPEECH, response_class=Response, responses={200: {"content": {media: {} for media in MEDIA_TYPES.values()}}}
    )
    async def speech(request: Request, wish: SpeechRequest) -> Response:
        """Speak a text. The first sentence is sent while the others are still computed."""
        check_model(wish.model, engine.model)
        place: Place[Sentence, Pcm] = place_of(request)
        async with attending(request, service.limits.deadline_s):
            reference = await _reference(wish, service)
            sentences = await wrap_future(workers.submit(plan, wish, reference))
            service.metrics.input_characters(len(wish.input))
            note_usage(characters=len(wish.input))
            first, *rest = place.submit(sentences)
            sound = await wrap_future(first)
            if not rest:
                whole = await wrap_future(workers.submit(encode_whole, wish.response_format, engine.rate_hz, sound))
                service.metrics.first_audio(time.monotonic() - place.entered_s)
                return Response(whole, media_type=MEDIA_TYPES[wish.response_format])
            encoder = make_encoder(wish.response_format, engine.rate_hz)
            beginning = await wrap_future(workers.submit(encoder.encode, sound))
        service.metrics.first_audio(time.monotonic() - place.entered_s)
        return StreamingResponse(
            _stream(beginning, rest, encoder, workers), media_type=MEDIA_TYPES[wish.response_format]
        )

    @router.get("/v1/audio/voices")
    async def voices() -> Voices:
        """Names for the field `voice`; the first is the default."""
        return Voices(voices=list(engine.voices))

    return router


async def _stream(
    beginning: bytes, rest: Sequence[Future[Pcm]], encoder: Encoder, workers: ThreadPoolExecutor
) -> AsyncIterator[bytes]:
    """Starlette ends the iteration when the client goes; the request's place then withdraws what has not started."""
    if beginning:
        yield beginning
    for sentence in rest:
        chunk = await wrap_future(workers.submit(encoder.encode, await wrap_future(sentence)))
        if chunk:
            yield chunk
    end = await wrap_future(workers.submit(encoder.finish))
    if end:
        yield end


async def _reference(wish: SpeechRequest, service: Service[Sentence, Pcm]) -> bytes | None:
    if wish.reference_url is not None:
        if service.sources is None:
            raise bad_request("this server fetches nothing", param="reference_url", code="url_refused")
        return await service.sources.get(wish.reference_url)
    if wish.reference_audio is None:
        return None
    try:
        return base64.b64decode(wish.reference_audio, validate=True)
    except ValueError as error:  # binascii.Error, or text that is not ASCII
        raise bad_request("reference_audio must be base64", param="reference_audio") from error
