"""Models that can be trained or chatted with: bases on this machine, ``malmoi-demo``, and finished adapters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.services.context import Services
from app.store.queries import find, listed
from app.store.tables import AdapterRow
from corpora.errors import InvalidInputError, NotFoundError, UnavailableError
from training.recipes import RECIPES, recipe_for

__all__ = [
    "DEMO_MODEL",
    "Base",
    "ChatTarget",
    "chat_target",
    "delete_model",
    "demo_path",
    "get_model",
    "list_models",
    "resolve_base",
]

DEMO_MODEL = "malmoi-demo"
OWNER = "malmoi"
#: ``org/name`` as the hub spells it.
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base model that a job can train."""

    name: str  #: As clients name it.
    path: str  #: Folder, or hub name.
    recipe: str  #: Recipe it is trained with.


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatTarget:
    """What a chat loads."""

    base_path: str  #: Folder or hub name of the base.
    adapter_path: str | None  #: Folder of the adapter, or None for the bare base.
    recipe: str  #: Recipe whose template it was, or would be, trained with.


def demo_path(services: Services) -> Path:
    """Where ``malmoi-demo`` lies once the first training job has built it."""
    return services.settings.data_dir.resolve() / "models" / DEMO_MODEL


def _folders(services: Services) -> dict[str, Path]:
    root = services.settings.models_dir
    if root is None or not root.is_dir():
        return {}
    return {path.parent.name: path.parent.resolve() for path in sorted(root.glob("*/config.json"))}


def _find_base(services: Services, model: str) -> str | None:
    """The folder or hub name of a base, or None when there is no such base."""
    if model == DEMO_MODEL:
        return str(demo_path(services))
    folder = _folders(services).get(model)
    if folder is not None:
        return str(folder)
    return model if HUB_NAME.fullmatch(model) else None


def resolve_base(services: Services, model: str, recipe: str | None) -> Base:
    """The base that ``model`` names, with its recipe.

    Raises:
        InvalidInputError: there is no such base (``model_not_found``) or no such recipe (``recipe_not_found``).
    """
    path = _find_base(services, model)
    if path is None:
        raise InvalidInputError(
            f"There is no base model '{model}'; GET /v1/models lists those that are ready. Put a folder of that name "
            "into MALMOI_MODELS_DIR, or give a hub name such as 'org/name'.",
            param="model",
            code="model_not_found",
        )
    if recipe is not None and recipe not in RECIPES:
        raise InvalidInputError(
            f"There is no recipe '{recipe}'; there are: {', '.join(RECIPES)}.", param="recipe", code="recipe_not_found"
        )
    return Base(name=model, path=path, recipe=recipe_for(model, recipe).name)


def _adapters(services: Services) -> list[AdapterRow]:
    with services.store.read() as session:
        return listed(session, AdapterRow, order_by=AdapterRow.seq.desc())


def _model(name: str, created: float, **extra: object) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(created), "owned_by": OWNER, **extra}


def list_models(services: Services) -> list[dict[str, Any]]:
    """Every model that is ready, adapters first; ``malmoi-demo`` is always listed and built at its first use."""
    ready = (demo_path(services) / "config.json").is_file()
    listed = [
        _model(row.id, row.created_at, base_model=row.base_model, recipe=row.recipe, ready=True)
        for row in _adapters(services)
    ]
    listed.append(_model(DEMO_MODEL, 0, recipe=recipe_for(DEMO_MODEL, None).name, ready=ready))
    for name, path in _folders(services).items():
        created = (path / "config.json").stat().st_mtime
        listed.append(_model(name, created, recipe=recipe_for(name, None).name, ready=True))
    return listed


def get_model(services: Services, model: str) -> dict[str, Any]:
    """One model.

    Raises:
        NotFoundError: there is none of that name.
    """
    for entry in list_models(services):
        if entry["id"] == model:
            return entry
    raise NotFoundError(
        f"There is no model '{model}'; GET /v1/models lists them.", param="model", code="model_not_found"
    )


def delete_model(services: Services, model: str) -> dict[str, Any]:
    """Forget a fine-tuned model; its files stay with the job's run until the data folder is cleaned.

    Raises:
        InvalidInputError: it is a base model.
        NotFoundError: there is none of that name.
    """
    get_model(services, model)
    with services.store.write() as session:
        row = find(session, AdapterRow, AdapterRow.id == model)
        if row is None:
            raise InvalidInputError(f"'{model}' is a base model; only fine-tuned models can be deleted.", param="model")
        session.delete(row)
    return {"id": model, "object": "model", "deleted": True}


def chat_target(services: Services, model: str) -> ChatTarget:
    """What to load in order to chat with ``model``.

    Raises:
        NotFoundError: there is none of that name.
        UnavailableError: ``malmoi-demo`` is not built yet (``model_building``).
    """
    with services.store.read() as session:
        row = find(session, AdapterRow, AdapterRow.id == model)
        if row is not None:
            return ChatTarget(base_path=row.base_path, adapter_path=row.path, recipe=row.recipe)
    get_model(services, model)
    if model == DEMO_MODEL and not (demo_path(services) / "config.json").is_file():
        raise UnavailableError(
            "malmoi-demo, the smoke-test model, is built by the first training job that needs it; start one with "
            "POST /v1/fine_tuning/jobs and ask again when it has finished.",
            param="model",
            code="model_building",
        )
    path = _find_base(services, model)
    assert path is not None
    return ChatTarget(base_path=path, adapter_path=None, recipe=recipe_for(model, None).name)
