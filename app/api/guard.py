"""The guard in front of every route: request ids, Host and Origin, API keys, body size, and the last net for errors.

Plain ASGI, so that streams pass through untouched. On a loopback address no key is asked, but Host must name this
machine and a browser's Origin must equal Host: otherwise any web page could drive the service through a visitor's
browser (cross-site requests, DNS rebinding).
"""

from __future__ import annotations

import hmac
import json
import logging
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.docs import DOCS_PATHS
from app.api.errors import error_body, unexpected_body

__all__ = ["LOOPBACK_HOSTS", "Guard"]

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
#: Answered without a key: liveness probes have none, and a browser that opens the documentation cannot send one. What
#: the API looks like is no secret: it is in the package that anyone can install.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/openapi.json", *DOCS_PATHS})

logger = logging.getLogger("malmoi.api")


class Guard:
    """ASGI middleware; ``keys`` empty means loopback mode without keys."""

    def __init__(self, app: ASGIApp, *, keys: Sequence[str], allowed_hosts: Sequence[str], max_body: int) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]
        self.allowed_hosts = LOOPBACK_HOSTS | {host.lower() for host in allowed_hosts}
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, then hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id

        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).setdefault("X-Request-ID", request_id)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            status, text, code = refusal
            await _answer(send_with_id, status, error_body(text, "invalid_request_error", None, code))
            return
        try:
            await self.app(scope, self._bounded(receive), send_with_id)
        except Exception as exc:
            if started:
                raise  # half an answer is out: the server closes the connection, so that nobody takes it for whole
            # Starlette's own net answers and raises again, upon which uvicorn closes a connection that is still good.
            logger.exception("unexpected error at %s %s, %s", scope["method"], scope["path"], request_id, exc_info=exc)
            await _answer(send_with_id, 500, unexpected_body(request_id))

    def _bounded(self, receive: Receive) -> Receive:
        """``receive`` that stops at ``max_body`` bytes, whatever Content-Length said."""
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_body:
                # Only an HTTPException passes FastAPI's body parser unchanged.
                raise HTTPException(413, self._too_large())
            return message

        return counted

    def _too_large(self) -> str:
        return f"The request body is over {self.max_body // 2**20} MB; raise MALMOI_MAX_UPLOAD_MB or send less."

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self.max_body:
            return 413, self._too_large(), "too_large"
        if b"%00" in scope.get("query_string", b"") or "\x00" in scope["path"]:
            return 400, "The address holds a NUL character (%00), which no id or name has.", "invalid_value"
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if not self.keys and host.lower() not in self.allowed_hosts:
            return 421, f"Host '{host}' is not served here; add it to MALMOI_ALLOWED_HOSTS.", "host_not_allowed"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            return 403, f"Origin '{origin}' may not call this service from a browser.", "origin_not_allowed"
        if self.keys and scope["path"] not in OPEN_PATHS and not self._key_ok(headers):
            return 401, "A valid API key is needed: send 'Authorization: Bearer <key>'.", "invalid_api_key"
        return None

    def _key_ok(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Every key is compared, in constant time, so that timing tells nothing.
        matches = [hmac.compare_digest(key, given.strip().encode()) for key in self.keys]
        return scheme.lower() == "bearer" and any(matches)


async def _answer(send: Send, status: int, answer: dict[str, Any]) -> None:
    body = json.dumps(answer, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
