"""`/v1/models`, and which model names are taken."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from inference_server.errors import Refusal
from inference_server.serving.service import AnyService

_ALIASES = frozenset({"", "whisper-1", "tts-1", "default"})
"""Names that clients send when they were not told another one."""


class Model(BaseModel):
    """One entry of the list."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "local"


class ModelList(BaseModel):
    """All of them."""

    object: str = "list"
    data: list[Model]


def check_model(asked: str, served: str) -> None:
    """Take the served model and the usual aliases; never load another (research: speech, 3.5).

    Raises:
        Refusal: 404.
    """
    if asked not in _ALIASES and asked != served:
        raise Refusal(
            404, "bad_request", f"model {asked!r} is not here; allowed: {served}", code="model_not_found", param="model"
        )


def model_routes(service: AnyService) -> APIRouter:
    """`GET /v1/models` and `GET /v1/models/{id}`."""
    router = APIRouter(tags=["models"])

    def entry() -> Model:
        return Model(id=service.engine.model, created=int(service.lifecycle.started_s))

    @router.get("/v1/models")
    async def models() -> ModelList:
        """The one model of this server."""
        return ModelList(data=[entry()])

    @router.get("/v1/models/{name}")
    async def model(name: str) -> Model:
        """One model."""
        check_model(name, service.engine.model)
        return entry()

    return router
