"""Speech to text: OpenAI's transcriptions and upstream SenseVoice's `/api/v1/asr`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse

from inference_server.api.admission import attending, place_of
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


def recognition_routes(service: Service[Clip, Heard], engine: Recognizer, limits: AudioLimits) -> APIRouter:
    """`POST /v1/audio/transcriptions` and `POST /api/v1/asr`."""
    router = APIRouter(tags=["recognition"])
    transcriber = Transcriber(service, engine, limits)

    @router.post(TRANSCRIPTIONS, response_model=None)
    async def transcriptions(  # noqa: PLR0917 FastAPI calls it by name
        request: Request,
        file: Annotated[UploadFile, File(description="WAV, FLAC, Ogg, MP3 or AIFF")],
        model: Annotated[str, Form()] = "",
        language: Annotated[Literal["auto", "zh", "en", "yue", "ja", "ko", ""], Form()] = "auto",
        response_format: Annotated[Literal["json", "text", "srt", "vtt", "verbose_json"], Form()] = "json",
        use_itn: Annotated[bool, Form(description="numbers and punctuation instead of spoken words")] = True,
        temperature: Annotated[float, Form(ge=0, le=1, description="accepted; decoding is deterministic")] = 0.0,  # noqa: ARG001
        granularities: Annotated[
            list[Literal["word", "segment"]] | None, Form(alias="timestamp_granularities[]")
        ] = None,
        prompt: Annotated[str, Form()] = "",
        stream: Annotated[bool, Form()] = False,
    ) -> Response:
        """Transcribe one recording, as OpenAI's API does, with language, emotion and event."""
        check_model(model, engine.model)
        _refuse_unsupported(prompt=prompt, stream=stream)
        words = "word" in (granularities or ())
        if words and response_format != "verbose_json":
            raise bad_request("word times need response_format=verbose_json", param="timestamp_granularities[]")
        options = Options(language or "auto", use_itn, words or response_format in {"srt", "vtt"})
        async with attending(request, service.limits.deadline_s) as wait:
            (transcript,) = await transcriber.transcribe([file.file], options, place_of(request), wait)
        return _render(transcript, response_format, words=words)

    @router.post(UPSTREAM)
    async def asr(
        request: Request,
        files: Annotated[list[UploadFile], File(description="WAV, FLAC, Ogg, MP3 or AIFF")],
        keys: Annotated[str, Form(description="names of the files, joined with commas")] = "",
        lang: Annotated[Language | Literal[""], Form()] = "auto",
    ) -> dict[str, list[dict[str, Any]]]:
        """Transcribe several recordings, as SenseVoice's own server does; `text` carries no emoji."""
        if len(files) > _MAX_FILES:
            raise bad_request(f"{len(files)} files; at most {_MAX_FILES} are allowed", param="files")
        names = keys.split(",") if keys else [file.filename or "" for file in files]
        if len(names) != len(files):
            raise bad_request(f"{len(names)} keys for {len(files)} files", param="keys")
        options = Options(lang or "auto", use_itn=False)
        async with attending(request, service.limits.deadline_s) as wait:
            opened = [file.file for file in files]
            transcripts = await transcriber.transcribe(opened, options, place_of(request), wait)
        return {"result": [_upstream_form(*pair) for pair in zip(names, transcripts, strict=True)]}

    return router


def _refuse_unsupported(*, prompt: str, stream: bool) -> None:
    if prompt:
        raise Refusal(400, "bad_request", "prompt: this model takes none", code="unsupported_parameter", param="prompt")
    if stream:
        raise Refusal(
            400, "bad_request", "stream: transcripts are not streamed", code="unsupported_parameter", param="stream"
        )


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
