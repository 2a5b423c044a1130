"""The application: the routes that fit the engine, behind the gate, inside the accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI

from inference_server import __version__
from inference_server.api.admission import Admission
from inference_server.api.errors import add_error_handlers
from inference_server.api.health import health_routes
from inference_server.api.models import model_routes
from inference_server.api.page import page_routes
from inference_server.api.sleep import sleep_routes
from inference_server.serving.service import AnyService
from inference_server.telemetry.accounting import Accounting
from inference_server.telemetry.requests import RequestTelemetry
from inference_server.telemetry.tracing import NoTracer, Tracer

if TYPE_CHECKING:
    from inference_server.access.rate import RateLimiter
    from inference_server.access.tokens import Verifier


def make_app(
    service: AnyService,
    access: tuple[Verifier, RateLimiter | None] | None = None,
    tracer: Tracer | None = None,
) -> FastAPI:
    """An ASGI application around a service, loaded or not; without `access` everybody may ask.

    The order from outside in: telemetry, accounts, guard, admission, routes.
    """
    app = FastAPI(title="Speech inference", version=__version__, docs_url=None, redoc_url=None)
    router = _engine_routes(service)
    endpoints = frozenset(route.path for route in router.routes if "POST" in getattr(route, "methods", ()))  # type: ignore[attr-defined]
    service.metrics.expect(endpoints)
    for routes in (router, health_routes(service), model_routes(service), page_routes(service)):
        app.include_router(routes)  # matched in this order
    app.add_middleware(Admission, service=service, endpoints=endpoints)
    if access is not None:
        from inference_server.api.guard import Guard

        verifier, limiter = access
        app.add_middleware(Guard, verifier=verifier, limiter=limiter)
    app.add_middleware(Accounting, ledger=service.metrics, endpoints=endpoints)
    model = service.engine.model
    app.add_middleware(RequestTelemetry, endpoints=endpoints, model=model, tracer=tracer or NoTracer())
    add_error_handlers(app)
    return app


def make_probes(service: AnyService) -> FastAPI:
    """Probes and metrics alone, for a worker that takes no requests."""
    app = FastAPI(title="Speech inference worker", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(health_routes(service))
    add_error_handlers(app)
    return app


def _engine_routes(service: AnyService) -> APIRouter:
    """Routes of the engine's kind; what they need is imported only then."""
    engine: Any = service.engine
    if engine.kind == "sleep":
        return sleep_routes(service, engine)
    if engine.kind == "synthesis":
        from inference_server.api.synthesis import synthesis_routes

        return synthesis_routes(service, engine)
    from inference_server.api.recognition import recognition_routes
    from inference_server.audio.decode import AudioLimits

    return recognition_routes(service, engine, AudioLimits())
