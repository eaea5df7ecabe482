"""What ``malmoi chat`` loads when it is handed a folder: an adapter as training wrote it, or a base model.

No store is needed. An adapter's folder names its base (PEFT's ``adapter_config.json``) and, on its card, its recipe. An
adapter that was exported names it as clients do; its folder is looked for where the service keeps its bases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from app.services.base_checks import architecture_of, check_base
from app.services.demo_cache import demo_models
from app.services.merged import FOLDER
from app.services.models import HUB_NAME, ChatTarget
from app.settings import Settings
from corpora.errors import InvalidInputError
from training.recipes import RECIPES, recipe_for

__all__ = ["base_places", "folder_target"]

_ADAPTER = "adapter_config.json"
#: As the card of an adapter says it: "with recipe `eeve-10.8b`", or "recipe: eeve-10.8b" in its front matter.
_RECIPE = re.compile(r"recipe:?\s+`?([\w.-]+)`?")
_CARD_BYTES = 8192


def base_places(settings: Settings) -> tuple[Path, ...]:
    """Where bases of the service lie: MALMOI_MODELS_DIR, what was merged, the smoke-test model, also of the cache."""
    own = (settings.data_dir / FOLDER, settings.data_dir / "models", demo_models())
    return own if settings.models_dir is None else (settings.models_dir, *own)


def folder_target(
    folder: Path, *, base: str | None = None, recipe: str | None = None, places: Sequence[Path] = ()
) -> ChatTarget:
    """What to load.

    Args:
        folder: Of an adapter or of a base model.
        base: Folder or hub name of an adapter's base, where it has moved.
        recipe: Whose template is used where the folder brings none; None takes the one on the adapter's
            card, else the one that fits the base.
        places: Folders in which an adapter's base is looked for by its name (``base_places``).

    Raises:
        InvalidInputError: the folder is neither, or its base is not there or cannot be loaded.
    """
    folder = folder.resolve()
    adapter = folder if (folder / _ADAPTER).is_file() else None
    if adapter is None and not (folder / "config.json").is_file():
        raise InvalidInputError(
            f"{folder} holds neither {_ADAPTER} (an adapter) nor config.json (a base model).", param="model"
        )
    named = base or (str(folder) if adapter is None else _found(_base_of(adapter), places))
    architecture = None
    if Path(named).is_dir():
        check_base(Path(named), vocabulary=False)
        architecture = architecture_of(Path(named))
        named = str(Path(named).resolve())
    elif Path(named).is_absolute():
        raise InvalidInputError(f"There is no base at {named}; say where it is with --base.", param="base")
    wanted = recipe or (None if adapter is None else _recipe_of(adapter))
    return ChatTarget(
        base_path=named,
        adapter_path=None if adapter is None else str(adapter),
        recipe=recipe_for(named, wanted, architecture).name,
    )


def _found(named: str, places: Sequence[Path]) -> str:
    """The base that an adapter names: its folder, or its name on the hub.

    Raises:
        InvalidInputError: it is neither.
    """
    path = Path(named)
    if path.is_absolute() and path.is_dir():
        return named
    # The name comes with the adapter, from anybody: nothing outside the places is meant by it.
    inner = [] if path.is_absolute() or ".." in path.parts else [path]
    for place in places:
        for name in (*inner, *([Path(path.name)] if path.name not in ("", "..") else [])):
            if (place / name / "config.json").is_file():
                return str(place / name)
    if path.is_absolute():
        raise InvalidInputError(
            f"The adapter's base is not at {named} any more; say where it is with --base.", param="base"
        )
    if not path.is_dir() and not HUB_NAME.fullmatch(named):
        looked = ", ".join(map(str, places)) or "no folder"
        raise InvalidInputError(
            f"The adapter's base is '{named}', which is not there (looked in {looked}); put it into MALMOI_MODELS_DIR, "
            "or give its folder or hub name with --base.",
            param="base",
        )
    return named


def _base_of(adapter: Path) -> str:
    unnamed = InvalidInputError(f"{adapter / _ADAPTER} names no base model; give it with --base.", param="base")
    try:
        base = json.loads((adapter / _ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise unnamed from exc
    if not isinstance(base, str) or not base:
        raise unnamed
    return base


def _recipe_of(adapter: Path) -> str | None:
    """The recipe that the adapter's card names, where it has one of ours."""
    card = adapter / "README.md"
    if not card.is_file():
        return None
    with card.open("rb") as handle:
        text = handle.read(_CARD_BYTES).decode("utf-8", errors="replace")
    return next((name for name in _RECIPE.findall(text) if name in RECIPES), None)
