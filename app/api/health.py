"""``/livez``: the process answers. ``/readyz``: the store does too."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.deps import ServicesDep
from app.services import corpora

router = APIRouter(tags=["operations"])


@router.get("/livez")
def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(services: ServicesDep) -> dict[str, Any]:
    """The store answers."""
    corpora.list_corpora(services, None, 1, "desc")
    return {"status": "ok"}
