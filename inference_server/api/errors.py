"""Errors in the form that OpenAI's clients understand: {"error": {message, type, param, code}}."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from inference_server.errors import Reason, Refusal
from inference_server.telemetry.accounting import REJECTION, Scope

logger = logging.getLogger(__name__)


def _answer(
    status: int, message: str, code: str, param: str | None, headers: dict[str, str] | None = None
) -> JSONResponse:
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = "server_error" if status >= 500 else kinds.get(status, "invalid_request_error")
    error = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status, headers)


def _reject(scope: Scope, reason: Reason) -> None:
    scope.setdefault("state", {})[REJECTION] = reason


def refuse(scope: Scope, refusal: Refusal) -> JSONResponse:
    """The answer to a refused request; notes the reason for the accounts."""
    _reject(scope, refusal.reason)
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return _answer(refusal.status, refusal.message, refusal.code, refusal.param, headers)


async def _refused(request: Request, error: Refusal) -> JSONResponse:
    return refuse(request.scope, error)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    _reject(request.scope, "bad_request")
    first = error.errors()[0]
    param = ".".join(part for part in first["loc"][1:] if isinstance(part, str)) or None
    return _answer(400, f"{param or 'body'}: {first['msg']}", "invalid_value", param)


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    if isinstance(error.__cause__, Refusal):  # FastAPI wraps what a body's reader raises
        return refuse(request.scope, error.__cause__)
    _reject(request.scope, "bad_request")
    return _answer(error.status_code, str(error.detail), "invalid_request", None, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(500, "the server failed on this request", "internal_error", None)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error in one form; what is inside an unexpected one is logged, not sent."""
    app.add_exception_handler(Refusal, _refused)  # type: ignore[arg-type] # starlette types handlers by Exception
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _failed)
