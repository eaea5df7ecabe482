"""Models that can be trained or chatted with: bases on this machine, ``malmoi-demo``, finished adapters, checkpoints.

A base is a folder in MALMOI_MODELS_DIR, named as it is there: ``name``, or ``org/name`` where folders are nested as on
the hub. Checkpoints are not listed, as OpenAI does not; they can be retrieved and used by their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.services.base_checks import architecture_of, check_base
from app.services.checkpoints import find_checkpoint
from app.services.context import Services
from app.services.merged import merged_folders, origin_of, recipe_of
from app.store.queries import find, latest, listed
from app.store.tables import AdapterRow, CheckpointRow, JobRow
from corpora.errors import InvalidInputError, MalmoiError, NotFoundError, UnavailableError
from training.licence import licence_of
from training.recipes import RECIPES, Recipe, recipe_for

__all__ = [
    "DEMO_MODEL",
    "Base",
    "ChatTarget",
    "chat_target",
    "current_base",
    "demo_path",
    "get_model",
    "list_models",
    "require_base",
    "require_fetchable",
    "resolve_base",
]

DEMO_MODEL = "malmoi-demo"
OWNER = "malmoi"
#: ``org/name`` as the hub spells it.
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
#: How names of fine-tuned models and of their checkpoints begin.
_TUNED = "ft:"


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
    # A store without a folder of its own links to the one in the user's cache, which outlives it.
    return (services.settings.data_dir / "models" / DEMO_MODEL).resolve()


def _folders(services: Services) -> dict[str, Path]:
    """Folders of bases by name, whether whole or not: one that lacks its configuration is there to be complained of."""
    found = merged_folders(services)
    root = services.settings.models_dir
    if root is None or not root.is_dir():
        return found
    for path in sorted(child for child in root.iterdir() if child.is_dir()):
        inner = sorted(config.parent for config in path.glob("*/config.json"))
        if inner and not (path / "config.json").is_file():
            found |= {f"{path.name}/{folder.name}": folder.resolve() for folder in inner}
        else:
            found[path.name] = path.resolve()
    return found


def resolve_base(services: Services, model: str, recipe: str | None) -> Base:
    """The base that ``model`` names, with its recipe, after a look at its folder.

    Raises:
        InvalidInputError: there is no such base (``model_not_found``) or no such recipe (``recipe_not_found``), the
            recipe does not fit, the model is a fine-tuned one, or its folder is refused (``app.services.base_checks``).
    """
    if model.startswith(_TUNED):
        raise InvalidInputError(
            f"'{model}' is a fine-tuned model, and a training begins with a base. Merge it with POST "
            f"/v1/models/{model}/merge and train the merged model, or train its base with the rows of both.",
            param="model",
            code="model_not_trainable",
        )
    if recipe is not None and recipe not in RECIPES:
        raise InvalidInputError(
            f"There is no recipe '{recipe}'; there are: {', '.join(RECIPES)}.", param="recipe", code="recipe_not_found"
        )
    if model == DEMO_MODEL:
        return Base(name=model, path=str(demo_path(services)), recipe=recipe_for(model, recipe).name)
    folder = _folders(services).get(model)
    if folder is not None:
        check_base(folder)
        fitting = recipe_for(model, recipe or recipe_of(folder), architecture_of(folder))
        return Base(name=model, path=str(folder), recipe=fitting.name)
    if HUB_NAME.fullmatch(model):
        return Base(name=model, path=model, recipe=recipe_for(model, recipe).name)
    raise InvalidInputError(
        f"There is no base model '{model}'; GET /v1/models lists those that are ready. Put a folder of that name "
        "into MALMOI_MODELS_DIR, or give a hub name such as 'org/name'.",
        param="model",
        code="model_not_found",
    )


def _model(name: str, created: float, recipe: str, **extra: object) -> dict[str, Any]:
    defaults = {"base_model": None, "licence": None, "ready": True, "problem": None}
    return {"id": name, "object": "model", "created": int(created), "owned_by": OWNER, "recipe": recipe} | (
        defaults | extra
    )


def _demo_model(services: Services) -> dict[str, Any]:
    recipe = recipe_for(DEMO_MODEL, None)
    ready = (demo_path(services) / "config.json").is_file()
    return _model(DEMO_MODEL, 0, recipe.name, licence=recipe.licence, ready=ready)


def _base_model(name: str, folder: Path) -> dict[str, Any]:
    """A folder as a model; what is wrong with it is told instead of hiding it."""
    try:
        check_base(folder, vocabulary=False)
        recipe: Recipe | None = recipe_for(name, recipe_of(folder), architecture_of(folder))
    except MalmoiError as exc:
        return _model(name, folder.stat().st_mtime, RECIPES["auto"].name, ready=False, problem=exc.message)
    assert recipe is not None
    created = (folder / "config.json").stat().st_mtime
    licence = licence_of(str(folder), recipe).name
    return _model(name, created, recipe.name, licence=licence, base_model=origin_of(folder).get("base_model"))


def _adapter_model(services: Services, row: AdapterRow) -> dict[str, Any]:
    problem = _lost(row.path, current_base(services, row.base_model, row.base_path))
    licence = _licence(services, row.base_model, row.base_path, row.recipe)
    extra = {"base_model": row.base_model, "licence": licence, "ready": problem is None, "problem": problem}
    return _model(row.id, row.created_at, row.recipe, **extra)


def _licence(services: Services, base: str, path: str, recipe: str) -> str | None:
    """The base's, which what was made of it is bound to; None where the recipe it was trained with is gone."""
    known = RECIPES.get(recipe)
    return None if known is None else licence_of(current_base(services, base, path), known).name


def _lost(adapter: str, base: str) -> str | None:
    """What an adapter lacks of its files and its base's, if anything."""
    if not Path(adapter).is_dir():
        return f"Its files are gone from {adapter}."
    return f"Its base model is gone from {base}." if _base_is_gone(base) else None


def _base_is_gone(base: str) -> bool:
    """Whether a base that lay in a folder does so no more; one named as on the hub lies in a cache of its own."""
    return Path(base).is_absolute() and not (Path(base) / "config.json").is_file()


def current_base(services: Services, name: str, path: str) -> str:
    """Where the base ``name`` lies, which was at ``path`` once: a folder that was moved is found again by its name.

    Args:
        services: The opened services.
        name: As clients named it when it was trained.
        path: Folder, or hub name; given back where nothing better is known.
    """
    if not _base_is_gone(path):
        return path
    folders = _folders(services)
    if name in folders:
        return str(folders[name])
    last = Path(path).name
    alike = [folder for known, folder in folders.items() if known.rsplit("/", 1)[-1] == last]
    # Of two with the same name nobody can say which it is.
    return str(alike[0]) if len(alike) == 1 else path


def require_fetchable(base: str) -> None:
    """Refuse a hub name at once where the hub may not be asked and nothing of it lies on this machine.

    Raises:
        BaseModelError: ``base_not_on_disk``.
    """
    if Path(base).is_absolute():
        return
    # Late: the hub's client comes with the extra for training.
    from training.hub import require_fetchable as require

    require(base)


def require_base(model: str, base: str) -> None:
    """Refuse a fine-tuned model or checkpoint whose base is gone: what loads it later would fail.

    Raises:
        NotFoundError: there is no model in the folder ``base`` (``base_model_missing``).
    """
    if _base_is_gone(base):
        raise NotFoundError(
            f"The base model of '{model}' is gone from {base}; put its folder back there, or anywhere into "
            "MALMOI_MODELS_DIR under the same name.",
            param="model",
            code="base_model_missing",
        )


def list_models(services: Services) -> list[dict[str, Any]]:
    """Every model, adapters first; ``malmoi-demo`` is always listed and built at its first use."""
    with services.store.read() as session:
        adapters = listed(session, AdapterRow, order_by=AdapterRow.seq.desc())
    folders = _folders(services)
    models = [*(_adapter_model(services, row) for row in adapters), _demo_model(services)]
    models += [_base_model(name, folder) for name, folder in folders.items()]
    # A base that a training has fetched from the hub lies in its cache.
    fetched = {row.base_model: row for row in adapters if row.base_model == row.base_path}
    models += [_fetched_model(row) for name, row in fetched.items() if name not in folders]
    return models


def _fetched_model(row: AdapterRow) -> dict[str, Any]:
    recipe = recipe_for(row.base_model, None)
    return _model(row.base_model, row.created_at, recipe.name, licence=recipe.licence)


def _missing(model: str) -> NotFoundError:
    return NotFoundError(
        f"There is no model '{model}'; GET /v1/models lists them.", param="model", code="model_not_found"
    )


def get_model(services: Services, model: str) -> dict[str, Any]:
    """One model: listed, or a checkpoint.

    Raises:
        NotFoundError: there is none of that name.
    """
    with services.store.read() as session:
        checkpoint = find_checkpoint(session, model)
        if checkpoint is not None:
            params = _job_of(services, checkpoint).params
            recipe, base = params["recipe"], params["model"]
            problem = _lost(checkpoint.path, current_base(services, base, params["base_path"]))
            licence = _licence(services, base, params["base_path"], recipe)
            extra = {"base_model": base, "licence": licence, "ready": problem is None, "problem": problem}
            return _model(model, checkpoint.created_at, recipe, **extra)
    for entry in list_models(services):
        if entry["id"] == model:
            return entry
    raise _missing(model)


def _job_of(services: Services, checkpoint: CheckpointRow) -> JobRow:
    return services.jobs.get(checkpoint.job_id)


def chat_target(services: Services, model: str) -> ChatTarget:
    """What to load in order to chat with ``model``: a base, a fine-tuned model or a checkpoint.

    Raises:
        NotFoundError: there is none of that name, or its files or its base's are gone.
        InvalidInputError: it is a folder that is refused as a base.
        UnavailableError: ``malmoi-demo`` is not built yet (``model_building``).
    """
    with services.store.read() as session:
        row = find(session, AdapterRow, AdapterRow.id == model)
        checkpoint = None if row is not None else find_checkpoint(session, model)
        # The base of a fine-tuned model answers too, wherever it came from.
        tuned = latest(session, AdapterRow, AdapterRow.base_model == model)
    if row is not None:
        base = current_base(services, row.base_model, row.base_path)
        return _with_adapter(base, row.path, row.recipe, model)
    if checkpoint is not None:
        params = _job_of(services, checkpoint).params
        base = current_base(services, params["model"], params["base_path"])
        return _with_adapter(base, checkpoint.path, params["recipe"], model)
    if model == DEMO_MODEL:
        return _demo_target(services)
    folder = _folders(services).get(model)
    if folder is not None:
        check_base(folder, vocabulary=False)
        recipe = recipe_for(model, recipe_of(folder), architecture_of(folder))
        return ChatTarget(base_path=str(folder), adapter_path=None, recipe=recipe.name)
    if tuned is None or tuned.base_path != model:
        raise _missing(model)
    return ChatTarget(base_path=tuned.base_path, adapter_path=None, recipe=recipe_for(model, None).name)


def _with_adapter(base: str, adapter: str, recipe: str, model: str) -> ChatTarget:
    if not Path(adapter).is_dir():
        raise NotFoundError(
            f"The files of '{model}' are gone from {adapter}.", param="model", code="model_files_missing"
        )
    require_base(model, base)
    return ChatTarget(base_path=base, adapter_path=adapter, recipe=recipe)


def _demo_target(services: Services) -> ChatTarget:
    path = demo_path(services)
    if not (path / "config.json").is_file():
        raise UnavailableError(
            "malmoi-demo, the smoke-test model, is built by the first training job that needs it; start one with "
            "POST /v1/fine_tuning/jobs or `malmoi train` and ask again when it has finished.",
            param="model",
            code="model_building",
        )
    return ChatTarget(base_path=str(path), adapter_path=None, recipe=recipe_for(DEMO_MODEL, None).name)
