"""OpenAI's ``/v1/embeddings``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.deps import ServicesDep
from app.api.schemas.common import gives
from app.api.schemas.embeddings import Embeddings
from app.services import embeddings
from app.services.embeddings import CreateEmbeddings

router = APIRouter(prefix="/v1", tags=["embeddings"])


@router.post("/embeddings", response_model=None, responses=gives(Embeddings))
def create_embeddings(body: CreateEmbeddings, services: ServicesDep) -> dict[str, Any]:
    """Texts to vectors, with the embedder that the settings name."""
    return embeddings.create_embeddings(services, body)
