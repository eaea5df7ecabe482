"""``Idempotency-Key`` on creating routes: the same key and body give the first answer again, another body a 422.

A route takes ``once: Once`` and returns ``once(body, create)``; ``create`` is handed the services and calls
``services.answer`` in the transaction that creates. Without the header ``create`` simply runs; but where the official
client says that it repeats a request of the same key and body, JSON or upload, the first answer is given again. A body
is told by its hash, an upload's part by part: none is held in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.api.deps import ServicesDep
from app.services.context import IdempotencyClaim, Services
from app.services.idempotency import claim_key, claim_retried, forget_claim

__all__ = ["REPLAYED", "Once", "OnceCall"]

#: Header of an answer that was given before.
REPLAYED = {"Idempotent-Replayed": "true"}

#: In which the official client counts its retries of one request, from 0.
RETRY_COUNT = "x-stainless-retry-count"

Create = Callable[[Services], dict[str, Any]]
OnceCall = Callable[[BaseModel | Iterable[bytes], Create], Any]


def _digest(body: BaseModel | Iterable[bytes]) -> str:
    """The hash of a body: of its validated fields, or of the parts of an upload, each with its length."""
    found = hashlib.sha256()
    if isinstance(body, BaseModel):
        found.update(body.model_dump_json().encode())
    else:
        for part in body:
            found.update(len(part).to_bytes(8, "big"))
            found.update(part)
    return found.hexdigest()


def _retries(request: Request) -> int | None:
    """How often the official client has sent this request before; None where another client sends it."""
    said = request.headers.get(RETRY_COUNT, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None


def _once(
    request: Request,
    services: ServicesDep,
    key: Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255)] = None,
) -> OnceCall:
    def run(body: BaseModel | Iterable[bytes], create: Create) -> Any:
        scope = f"{request.method} {request.url.path}"
        if key is not None:
            claim = IdempotencyClaim(key=key, scope=scope)
            earlier = claim_key(services, claim, _digest(body))
        elif (retries := _retries(request)) is not None:
            asked = hashlib.sha256(f"{request.headers.get('authorization', '')}\n{_digest(body)}".encode()).hexdigest()
            claim = IdempotencyClaim(key=asked, scope=f"retry {scope}")
            earlier = claim_retried(services, claim, retries)
        else:
            return create(services)
        if earlier is not None:
            return JSONResponse(json.loads(earlier), headers=REPLAYED)
        try:
            return create(replace(services, claim=claim))
        except BaseException:
            forget_claim(services, claim)
            raise

    return run


Once = Annotated[OnceCall, Depends(_once)]
