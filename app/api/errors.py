"""Every error leaves in OpenAI's shape: ``{"error": {"message", "type", "param", "code"}}``, all four keys present.

``install_error_handlers(app)`` maps our error tree, validation errors (400, not FastAPI's 422) and unknown routes;
the guard answers what nobody expected with ``unexpected_body``. ``hint`` is appended to the message; a retryable 503
carries ``Retry-After``.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.services.faults import broken_json, invalid_fields
from app.store.job_errors import with_hint
from corpora.errors import InvalidInputError, MalmoiError

__all__ = ["error_body", "error_response", "install_error_handlers", "unexpected_body"]

logger = logging.getLogger("malmoi.api")
RETRY_AFTER_S = "5"


def error_body(message: str, type_: str, param: str | None, code: str | None) -> dict[str, Any]:
    """The body of an error answer."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def error_response(exc: MalmoiError) -> JSONResponse:
    """An error of our tree as an HTTP answer."""
    message = with_hint(exc.message, exc.hint)
    headers = {"Retry-After": RETRY_AFTER_S} if exc.status == 503 else {}
    return JSONResponse(error_body(message, exc.type, exc.param, exc.code), status_code=exc.status, headers=headers)


async def _on_malmoi_error(_request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, MalmoiError)
    if exc.status >= 500:
        logger.warning("%s: %s", exc.code, exc.message)
    return error_response(exc)


async def _on_validation_error(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    return error_response(_fault(request.headers.get("content-type", ""), exc, _shape(request)))


def _shape(request: Request) -> Any:
    """The type of the route's body; None where it has none."""
    field = getattr(request.scope.get("route"), "body_field", None)
    return field.field_info.annotation if field is not None else None


def _fault(content_type: str, exc: RequestValidationError, shape: Any) -> InvalidInputError:
    """What is wrong with the request; only the part of it that a location begins with is no field's name."""
    errors = [dict(error) | {"loc": error["loc"][1:]} for error in exc.errors()]
    first = exc.errors()[0]
    if first["type"] == "json_invalid":
        return broken_json(first["ctx"]["error"], int(first["loc"][1]))
    in_body = first["loc"][0] == "body"
    if in_body and isinstance(exc.body, bytes):
        # FastAPI parses what says that it is JSON; anything else it hands on as it came.
        said = f"not '{content_type}'" if content_type else "which is missing"
        return InvalidInputError(
            f"Send the body as JSON with the header 'Content-Type: application/json', {said}.",
            code="unsupported_content_type",
        )
    return invalid_fields(errors, exc.body if in_body else None, shape=shape if in_body else None)


async def _on_http_exception(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    message, code = str(exc.detail), None
    if exc.status_code == 404:
        message, code = f"There is no route {request.method} {request.url.path}; see /docs.", "unknown_url"
    elif exc.status_code == 405:
        message, code = f"{request.url.path} does not answer {request.method}; see /docs.", "method_not_allowed"
    elif exc.status_code == 413:
        code = "too_large"
    elif exc.status_code == 400:
        # Only the parsers of bodies raise these: a form without boundary, JSON that is no UTF-8 or nested too deep.
        form = request.headers.get("content-type", "").startswith("multipart/form-data")
        code, kind = ("invalid_multipart", "multipart/form-data") if form else ("invalid_json", "JSON in UTF-8")
        message = f"The body cannot be read as {kind}: {message}"
    return JSONResponse(
        error_body(message, "invalid_request_error", None, code), status_code=exc.status_code, headers=exc.headers
    )


def unexpected_body(request_id: str) -> dict[str, Any]:
    """What a client is told of an exception that nobody expected."""
    message = f"An unexpected error; the log has it under request {request_id}."
    return error_body(message, "server_error", None, "internal_error")


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of ``app`` leave in OpenAI's shape."""
    app.add_exception_handler(MalmoiError, _on_malmoi_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
