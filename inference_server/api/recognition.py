"""Speech to text: OpenAI's transcriptions and upstream SenseVoice's `/api/v1/asr`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from inference_server.api.admission import attending, place_of
from inference_server.api.forms import File, Upload, described, read_form
from inference_server.api.models import check_model
from inference_server.audio.decode import AudioLimits
from inference_server.audio.transcripts import Transcript, plain_json, srt, verbose_json, vtt
from inference_server.engines.recognition import Clip, Heard, Language, Options, Recognizer
from inference_server.errors import Refusal, bad_request
from inference_server.serving.service import Service
from inference_server.serving.transcriber import Transcriber

TRANSCRIPTIONS = "/v1/audio/transcriptions"
UPSTREAM = "/api/v1/asr"
_MAX_FILES = 16
_GRANULARITIES = "timestamp_granularities[]"


class TranscriptionForm(BaseModel):
    """OpenAI's fields, and `use_itn`; fields that are not listed are ignored, as new clients send new ones."""

    file: Annotated[Upload, Field(description="WAV, FLAC, Ogg, MP3 or AIFF")]
    model: str = ""
    language: Literal["auto", "zh", "en", "yue", "ja", "ko"] = "auto"
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] = "json"
    use_itn: Annotated[bool, Field(description="numbers and punctuation instead of spoken words")] = True
    temperature: Annotated[float, Field(ge=0, le=1, description="accepted; decoding is deterministic")] = 0.0
    granularities: Annotated[list[Literal["word", "segment"]], Field(alias=_GRANULARITIES)] = []
    prompt: str = ""
    stream: bool = False


class UpstreamForm(BaseModel):
    """Fields of SenseVoice's own server."""

    files: Annotated[list[Upload], Field(description="WAV, FLAC, Ogg, MP3 or AIFF")]
    keys: Annotated[str, Field(description="names of the files, joined with commas")] = ""
    lang: Language = "auto"


def recognition_routes(service: Service[Clip, Heard], engine: Recognizer, limits: AudioLimits) -> APIRouter:
    """`POST /v1/audio/transcriptions` and `POST /api/v1/asr`."""
    router = APIRouter(tags=["recognition"])
    transcriber = Transcriber(service, engine, limits)

    async def transcribe(request: Request, files: list[File], options: Options) -> list[Transcript]:
        async with attending(request, service.limits.deadline_s):
            return await transcriber.transcribe([file.data for file in files], options, place_of(request))

    @router.post(TRANSCRIPTIONS, response_model=None, openapi_extra=described(TranscriptionForm))
    async def transcriptions(request: Request) -> Response:
        """Transcribe one recording, as OpenAI's API does, with language, emotion and event."""
        form = await read_form(request, TranscriptionForm, lists={_GRANULARITIES})
        check_model(form.model, engine.model)
        _refuse_unsupported(form)
        words = "word" in form.granularities
        times = words or form.response_format in {"srt", "vtt"}
        (transcript,) = await transcribe(request, [form.file], Options(form.language, form.use_itn, times))
        return _render(transcript, form.response_format, words=words)

    @router.post(UPSTREAM, openapi_extra=described(UpstreamForm))
    async def asr(request: Request) -> dict[str, list[dict[str, Any]]]:
        """Transcribe several recordings, as SenseVoice's own server does; `text` carries no emoji."""
        form = await read_form(request, UpstreamForm, lists={"files"}, max_files=_MAX_FILES)
        names = form.keys.split(",") if form.keys else [file.name for file in form.files]
        if len(names) != len(form.files):
            raise bad_request(f"{len(names)} keys for {len(form.files)} files", param="keys")
        transcripts = await transcribe(request, form.files, Options(form.lang, use_itn=False))
        return {"result": [_upstream_form(*pair) for pair in zip(names, transcripts, strict=True)]}

    return router


def _refuse_unsupported(form: TranscriptionForm) -> None:
    if form.prompt:
        raise Refusal(400, "bad_request", "prompt: this model takes none", code="unsupported_parameter", param="prompt")
    if form.stream:
        raise Refusal(
            400, "bad_request", "stream: transcripts are not streamed", code="unsupported_parameter", param="stream"
        )
    if "word" in form.granularities and form.response_format != "verbose_json":
        raise bad_request("word times need response_format=verbose_json", param=_GRANULARITIES)


def _render(transcript: Transcript, response_format: str, *, words: bool) -> Response:
    if response_format == "text":
        return PlainTextResponse(transcript.text + "\n")
    if response_format == "srt":
        return PlainTextResponse(srt(transcript), media_type="application/x-subrip")
    if response_format == "vtt":
        return PlainTextResponse(vtt(transcript), media_type="text/vtt")
    return JSONResponse(
        verbose_json(transcript, words=words) if response_format == "verbose_json" else plain_json(transcript)
    )


def _upstream_form(key: str, transcript: Transcript) -> dict[str, Any]:
    return {
        "key": key,
        "raw_text": transcript.raw,
        "clean_text": transcript.text,
        "text": transcript.text,
        "language": transcript.language,
        "emotion": transcript.emotion,
        "event": transcript.event,
    }
