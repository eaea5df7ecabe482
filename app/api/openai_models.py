"""OpenAI's ``/v1/models``; names may hold slashes and colons."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.deps import ServicesDep
from app.api.schemas.common import gives
from app.api.schemas.openai import Model, ModelDeleted, ModelList
from app.services import models
from app.services.model_deletion import delete_model as delete

router = APIRouter(prefix="/v1", tags=["models and chat"])


@router.get("/models", response_model=None, responses=gives(ModelList))
def list_models(services: ServicesDep) -> dict[str, Any]:
    """Every model that is ready, with each base's recipe."""
    return {"object": "list", "data": models.list_models(services)}


@router.get("/models/{model:path}", response_model=None, responses=gives(Model))
def get_model(model: str, services: ServicesDep) -> dict[str, Any]:
    """One model; checkpoints, which are not listed, too."""
    return models.get_model(services, model)


@router.delete("/models/{model:path}", response_model=None, responses=gives(ModelDeleted))
def delete_model(model: str, services: ServicesDep) -> dict[str, Any]:
    """Remove a fine-tuned model or a checkpoint, with its files."""
    return delete(services, model)
