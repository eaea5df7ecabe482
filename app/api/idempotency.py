"""``Idempotency-Key`` on creating routes: the same key and body give the first answer again, another body a 422.

A route takes ``once: Once`` and returns ``once(body, create)``. Without the header ``create`` simply runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.api.deps import ServicesDep
from app.services.idempotency import claim_key, forget_key, keep_answer

__all__ = ["Once", "OnceCall"]

OnceCall = Callable[[BaseModel, Callable[[], dict[str, Any]]], Any]


def _once(
    request: Request,
    services: ServicesDep,
    key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)] = None,
) -> OnceCall:
    def run(body: BaseModel, create: Callable[[], dict[str, Any]]) -> Any:
        if key is None:
            return create()
        scope = f"{request.method} {request.url.path}"
        digest = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
        earlier = claim_key(services, key, scope, digest)
        if earlier is not None:
            return JSONResponse(json.loads(earlier), headers={"Idempotent-Replayed": "true"})
        try:
            answer = create()
        except BaseException:
            forget_key(services, key, scope)
            raise
        keep_answer(services, key, scope, json.dumps(answer, ensure_ascii=False))
        return answer

    return run


Once = Annotated[OnceCall, Depends(_once)]
