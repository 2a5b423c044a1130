"""The application: the routes that fit the engine, behind the gate, inside the accounts."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from inference_server import __version__
from inference_server.api.admission import Admission
from inference_server.api.errors import add_error_handlers
from inference_server.api.health import health_routes
from inference_server.api.service import AnyService
from inference_server.api.sleep import sleep_routes
from inference_server.telemetry.accounting import Accounting


def make_app(service: AnyService) -> FastAPI:
    """An ASGI application around a service, loaded or not."""
    app = FastAPI(title="Speech inference", version=__version__, docs_url=None, redoc_url=None)
    router = _engine_routes(service)
    endpoints = frozenset(route.path for route in router.routes if "POST" in getattr(route, "methods", ()))  # type: ignore[attr-defined]
    app.include_router(health_routes(service))
    app.include_router(router)
    app.add_middleware(Admission, service=service, endpoints=endpoints)
    app.add_middleware(Accounting, ledger=service.metrics, endpoints=endpoints)
    add_error_handlers(app)
    return app


def _engine_routes(service: AnyService) -> APIRouter:
    return sleep_routes(service, service.engine)  # type: ignore[arg-type]
