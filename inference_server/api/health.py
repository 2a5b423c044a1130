"""Alive, ready, measured."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import choose_encoder

from inference_server.serving.service import AnyService


def health_routes(service: AnyService) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics`."""
    router = APIRouter(tags=["health"])
    lifecycle = service.lifecycle

    @router.get("/healthz")
    async def alive() -> JSONResponse:
        """200 while the process works; 503 when the model hangs or could not be loaded: restart it."""
        scheduler = service.scheduler
        stuck = scheduler.longest_run_s() > service.limits.hang_after_s or scheduler.has_lost_a_thread()
        healthy = not stuck and lifecycle.state != "failed"
        return JSONResponse({"status": "ok" if healthy else "stuck" if stuck else "failed"}, 200 if healthy else 503)

    @router.get("/readyz")
    async def ready() -> JSONResponse:
        """200 when the model is loaded and warmed up and the process is not draining."""
        status = "draining" if lifecycle.draining else lifecycle.state
        return JSONResponse({"status": status}, 200 if status == "ready" else 503)

    @router.get("/metrics", response_class=Response)
    def metrics(request: Request) -> Response:  # not async: runs in a worker thread, beside the event loop
        """Prometheus text or OpenMetrics, as asked for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(service.metrics.registry), media_type=content_type)

    return router
