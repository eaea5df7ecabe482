"""Where commands without a store of their own keep ``malmoi-demo``: the user's cache, so that it outlives the command.

An adapter needs its base long after the training has ended, and what lies in a private store is gone by then. The base
is built there once, whole or not at all, by ``training.demo_base``; this module only says where. Use::

    make_demo_models()  # before a training that may build it
    link_demo_models(data_dir)  # a private store finds it as its own
    demo_folder()  # None until it was built
"""

from __future__ import annotations

import os
from pathlib import Path

from app.services.models import DEMO_MODEL
from corpora.errors import MalmoiError

__all__ = ["demo_folder", "demo_models", "link_demo_models", "make_demo_models"]


def demo_models() -> Path:
    """The folder that holds it: ``malmoi/models`` in XDG_CACHE_HOME, or in ``~/.cache``."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The specification has relative paths ignored: they would mean another folder in every directory.
    cache = named if named.is_absolute() else Path(os.path.expanduser("~")) / ".cache"
    return cache / "malmoi" / "models"


def demo_folder() -> Path | None:
    """The model, once some command has built it."""
    folder = demo_models() / DEMO_MODEL
    return folder.resolve() if (folder / "config.json").is_file() else None


def make_demo_models() -> None:
    """Make the folder.

    Raises:
        MalmoiError: it cannot be made (``cache_not_writable``).
    """
    folder = demo_models()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError as exc:
        raise _unwritable(folder, exc.strerror or type(exc).__name__) from exc
    if not writable:
        raise _unwritable(folder, "no permission to write")


def _unwritable(folder: Path, why: str) -> MalmoiError:
    return MalmoiError(
        f"{DEMO_MODEL} cannot be kept in {folder}: {why}.",
        code="cache_not_writable",
        hint="Set XDG_CACHE_HOME to a folder that can be written, or name a store by --data-dir.",
    )


def link_demo_models(data_dir: Path) -> None:
    """Have a private store find the model where it would keep its own; nothing where there is no cache."""
    folder = demo_models()
    if folder.is_dir():
        (data_dir / "models").symlink_to(folder.resolve(), target_is_directory=True)
