"""Every error leaves in OpenAI's shape: ``{"error": {"message", "type", "param", "code"}}``, all four keys present.

``install_error_handlers(app)`` maps our error tree, validation errors (400, not FastAPI's 422), unknown routes and
unexpected exceptions. ``hint`` is appended to the message; a retryable 503 carries ``Retry-After``.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from corpora.errors import MalmoiError

__all__ = ["error_body", "error_response", "install_error_handlers"]

logger = logging.getLogger("malmoi.api")
RETRY_AFTER_S = "5"


def error_body(message: str, type_: str, param: str | None, code: str | None) -> dict[str, Any]:
    """The body of an error answer."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def error_response(exc: MalmoiError) -> JSONResponse:
    """An error of our tree as an HTTP answer."""
    message = f"{exc.message} {exc.hint}".strip() if exc.hint and exc.hint not in exc.message else exc.message
    headers = {"Retry-After": RETRY_AFTER_S} if exc.status == 503 else {}
    return JSONResponse(error_body(message, exc.type, exc.param, exc.code), status_code=exc.status, headers=headers)


async def _on_malmoi_error(_request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, MalmoiError)
    if exc.status >= 500:
        logger.warning("%s: %s", exc.code, exc.message)
    return error_response(exc)


async def _on_validation_error(_request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    first = exc.errors()[0]
    location = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    param = ".".join(location) or None
    where = f"'{param}': " if param else ""
    return JSONResponse(
        error_body(f"{where}{first['msg']}", "invalid_request_error", param, "invalid_value"), status_code=400
    )


async def _on_http_exception(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    message, code = str(exc.detail), None
    if exc.status_code == 404:
        message, code = f"There is no route {request.method} {request.url.path}; see /docs.", "unknown_url"
    elif exc.status_code == 405:
        message, code = f"{request.url.path} does not answer {request.method}; see /docs.", "method_not_allowed"
    elif exc.status_code == 413:
        code = "too_large"
    return JSONResponse(
        error_body(message, "invalid_request_error", None, code), status_code=exc.status_code, headers=exc.headers
    )


async def _on_unexpected(request: Request, exc: Exception) -> JSONResponse:
    logger.error("unexpected error at %s %s", request.method, request.url.path, exc_info=exc)
    request_id = getattr(request.state, "request_id", None)
    return JSONResponse(
        error_body(
            f"An unexpected error; the log has it under request {request_id}.", "server_error", None, "internal_error"
        ),
        status_code=500,
        headers={"X-Request-ID": request_id} if request_id else {},
    )


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of ``app`` leave in OpenAI's shape."""
    app.add_exception_handler(MalmoiError, _on_malmoi_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected)
