"""Which embedder a setting names: ``hashed``, ``openai:<model>``, or a sentence-transformers model by folder or name.

Reads no settings and keeps nothing; ``app/services/embedders.py`` hands in the values and remembers what was made.

Use::

    spec = parse_spec("intfloat/multilingual-e5-small", models_dir=None)
    spec.kind, spec.name                                   # ("local", "intfloat/multilingual-e5-small")
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retrieval.embedders.errors import UnusableEmbedderError

__all__ = ["ENDPOINT", "HASHED", "EmbedderSpec", "parse_spec"]

HASHED = "hashed"
ENDPOINT = "openai:"
#: ``owner/name`` as the Hugging Face hub writes it.
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedderSpec:
    """A setting, understood."""

    kind: Literal["hashed", "local", "endpoint"]  #: Which class makes the vectors.
    name: str  #: The model at the endpoint, the folder, the name on the hub; ``hashed``.


def parse_spec(text: str, models_dir: Path | None) -> EmbedderSpec:
    """What ``text`` names; a folder in ``models_dir`` comes before any other of that name. Nothing is fetched.

    Raises:
        UnusableEmbedderError: it is none of the three.
    """
    if text == HASHED:
        return EmbedderSpec(kind="hashed", name=text)
    if text.startswith(ENDPOINT) and text.removeprefix(ENDPOINT).strip():
        return EmbedderSpec(kind="endpoint", name=text.removeprefix(ENDPOINT).strip())
    folder = None if "\0" in text or not text.strip() else _folder(text, models_dir)
    if folder is not None:
        return EmbedderSpec(kind="local", name=str(folder.resolve()))
    if _HUB_NAME.fullmatch(text):
        return EmbedderSpec(kind="local", name=text)
    raise UnusableEmbedderError(
        f"There is no embedder '{text}': it is neither '{HASHED}', nor '{ENDPOINT}<model>', nor a folder, nor a name "
        "on the Hugging Face hub (owner/name).",
        param="embedder",
        hint="Set MALMOI_EMBEDDER; a folder's name is looked for in MALMOI_MODELS_DIR, then as a path.",
    )


def _folder(text: str, models_dir: Path | None) -> Path | None:
    relative = Path(text)
    places = [relative]
    if models_dir is not None and not relative.is_absolute() and ".." not in relative.parts:
        places.insert(0, models_dir / relative)
    try:
        return next((place for place in places if place.is_dir()), None)
    except OSError:  # a name that no file system takes is no folder's
        return None
