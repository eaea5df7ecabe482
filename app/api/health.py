"""``/livez``: the process answers. ``/readyz``: the store does too."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.deps import ServicesDep
from app.api.schemas.common import Status, gives
from app.services import corpora

router = APIRouter(tags=["operations"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez", response_model=None, responses=gives(Status))
def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_model=None, responses=gives(Status))
def readyz(services: ServicesDep) -> dict[str, Any]:
    """The store answers."""
    corpora.list_corpora(services, None, 1, "desc")
    return {"status": "ok"}
