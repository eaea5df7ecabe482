"""A base as a folder on this machine: itself where it is one, else what the hub has under that name.

Only files that are read here are fetched: JSON, safetensors, tokenizers, templates, cards. Pickles and scripts never
come. Without a network what was fetched before is used. No torch. ``local_folder("org/name")``.
"""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import is_offline_mode, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is of whichever client it uses
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from training.errors import BaseModelError, HubUnreachableError

__all__ = ["local_folder", "require_fetchable"]

#: What to do about a base that is not on this machine.
_HERE = (
    "Put its folder into MALMOI_MODELS_DIR and name it as it is there, or hand its folder to --model or --base; "
    "or let it be fetched from the hub (HF_ENDPOINT, HF_HUB_OFFLINE=0)."
)

#: ``name`` or ``org/name`` as the hub spells it.
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_SMALL = ("*.json", "*.model", "*.txt", "*.jinja", "README.md", "LICENSE*", "NOTICE*")
_WEIGHTS = ("model*.safetensors",)
#: Copies of the weights in other layouts, and what else lies in folders.
_IGNORED = ("*/*", "consolidated*")


def require_fetchable(base: str) -> None:
    """Refuse a hub name of which nothing was fetched before where the environment forbids to ask the hub.

    Raises:
        BaseModelError: ``base_not_on_disk``.
    """
    if Path(base).is_dir() or isinstance(try_to_load_from_cache(base, "config.json"), str) or not is_offline_mode():
        return
    raise BaseModelError(
        f"The base model '{base}' is nowhere on this machine, and HF_HUB_OFFLINE forbids to fetch it.",
        param="model",
        code="base_not_on_disk",
        hint=_HERE,
    )


def local_folder(base: str, *, weights: bool = True) -> Path:
    """The folder of ``base``, fetched from the hub where it is no folder.

    Args:
        base: Folder, or a name on the hub.
        weights: Whether the weights are needed; the rest is small.

    Raises:
        BaseModelError: there is no such folder and no such name (``base_not_found``), or its owner must let one in
            first (``base_gated``).
        HubUnreachableError: the hub does not answer, and nothing was fetched before.
    """
    folder = Path(base)
    if folder.is_dir():
        return folder
    if not _HUB_NAME.fullmatch(base):
        raise BaseModelError(
            f"The base model '{base}' cannot be loaded: there is no such folder.", param="model", code="base_not_found"
        )
    patterns = [*_SMALL, *(_WEIGHTS if weights else ())]
    try:
        return Path(snapshot_download(base, allow_patterns=patterns, ignore_patterns=list(_IGNORED)))
    except GatedRepoError as exc:
        raise BaseModelError(
            f"The base model '{base}' is gated: its owner must let you in first.",
            param="model",
            code="base_gated",
            hint=f"Accept its terms at https://huggingface.co/{base} and set HF_TOKEN.",
        ) from exc
    except (RepositoryNotFoundError, HFValidationError) as exc:
        raise BaseModelError(
            f"The base model '{base}' cannot be loaded: there is no such folder, and the hub has none of that name.",
            param="model",
            code="base_not_found",
            hint=f"Check the name; a private model needs HF_TOKEN. {_HERE}",
        ) from exc
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError, OSError) as exc:
        first = next(iter(str(exc).splitlines()), type(exc).__name__)
        raise HubUnreachableError(
            f"The base model '{base}' is no folder here, was not fetched before, and the hub cannot be "
            f"reached: {first}",
            param="model",
            hint=_HERE,
        ) from exc
