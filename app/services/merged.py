"""Merged models: bases that were made here of a base and an adapter. They lie in ``merged/`` of the data folder.

Each folder says what it was made of (``malmoi.json``). Knows neither jobs nor how a merge works.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.services.context import Services

__all__ = ["ORIGIN", "merged_folders", "merged_root", "origin_of", "recipe_of"]

FOLDER = "merged"
#: As the trainer writes it.
ORIGIN = "malmoi.json"


def merged_root(services: Services) -> Path:
    """Where merged models lie; need not be there yet."""
    return services.settings.data_dir.resolve() / FOLDER


def merged_folders(services: Services) -> dict[str, Path]:
    """Folders of merged models by name; those that are still being made begin with a dot and are none."""
    root = merged_root(services)
    if not root.is_dir():
        return {}
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}


def origin_of(folder: Path) -> dict[str, Any]:
    """What a folder was merged of: ``base_model``, ``adapter``, ``recipe``; empty for any other folder."""
    try:
        found = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # No file of ours: a base that somebody put there.
        return {}
    return found if isinstance(found, dict) else {}


def recipe_of(folder: Path) -> str | None:
    """The recipe that a merged model was trained with; None for any other folder."""
    return origin_of(folder).get("recipe")
