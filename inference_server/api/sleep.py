"""The sleeper's route."""

from __future__ import annotations

from asyncio import wrap_future
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from inference_server.api.admission import attending, place_of
from inference_server.engines.sleeper import Nap, Sleeper
from inference_server.serving.service import Service

PATH = "/v1/sleep"


class SleepRequest(BaseModel):
    """How long to sleep; without it as long as the server was told."""

    model_config = ConfigDict(extra="forbid")
    service_s: Annotated[float | None, Field(gt=0, le=600, allow_inf_nan=False)] = None


class SleepAnswer(BaseModel):
    """How long it slept."""

    service_s: float


def sleep_routes(service: Service[Nap, float], engine: Sleeper) -> APIRouter:
    """`POST /v1/sleep`."""
    router = APIRouter(tags=["sleep"])

    @router.post(PATH)
    async def sleep(request: Request, wish: SleepRequest | None = None) -> SleepAnswer:
        """Hold a slot for the service time."""
        asked_s = wish.service_s if wish else None
        nap = Nap(engine.default_service_s if asked_s is None else asked_s)
        async with attending(request, service.limits.deadline_s):
            (future,) = place_of(request).submit([nap])
            return SleepAnswer(service_s=await wrap_future(future))

    return router
