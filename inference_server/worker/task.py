"""What stands in a message. Closed: an unknown field or value is a dead letter."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from inference_server.engines.recognition import Language

TaskId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Reference = Annotated[str, Field(min_length=1, max_length=2048, description="https://… or store:KEY")]


class _Task(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    id: TaskId


class Sleep(_Task):
    """Hold a slot of the sleeper."""

    kind: Literal["sleep"]
    service_s: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]


class Recognize(_Task):
    """Transcribe a sound."""

    kind: Literal["recognize"]
    audio: Reference
    language: Language = "auto"
    use_itn: bool = True
    words: bool = False


class Speak(_Task):
    """Speak a text."""

    kind: Literal["speak"]
    input: str
    voice: str = ""
    prompt: str = ""
    speed: Annotated[float, Field(ge=0.25, le=4.0, allow_inf_nan=False)] = 1.0
    response_format: Literal["mp3", "wav", "flac", "opus", "pcm"] = "mp3"
    reference_url: Reference | None = None


Task = Sleep | Recognize | Speak
_TASK: TypeAdapter[Task] = TypeAdapter(Annotated[Task, Field(discriminator="kind")])


def parse_task(body: bytes) -> Task:
    """Read a message.

    Raises:
        ValueError: no JSON, or not a task.
    """
    return _TASK.validate_json(body)


def result_key(task_id: str) -> str:
    """Where the result of a task lies."""
    return f"results/{task_id}.json"


def sound_key(task_id: str, extension: str) -> str:
    """Where the sound of a task lies."""
    return f"results/{task_id}.{extension}"
