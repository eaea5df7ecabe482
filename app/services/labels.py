"""Names and ids that clients give: one line, no control characters (PostgreSQL cannot even store a NUL).

``Label`` is a name that a person chose, brought to NFC; ``Identifier`` names something that is there, kept as sent;
``Storable`` is any text or JSON value that the store can hold. All three are for fields of request bodies. A file's
name is not refused but made harmless, and what was changed is told: ``file_label``.
"""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator

from corpora.errors import InvalidInputError

__all__ = ["Identifier", "Label", "Storable", "check_label", "file_label"]

#: Characters of a file's name; file systems end at 255 of their units.
MAX_FILE_NAME = 255
#: Longest ending that is kept when a name is cut.
_MAX_SUFFIX = 16
#: Marks that turn the direction of writing: ``gpj.exe`` shows as ``exe.jpg``.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def _one_line(value: str) -> str:
    if not value.strip():
        raise ValueError("must hold more than blanks")
    bad = next((character for character in value if unicodedata.category(character) in ("Cc", "Cs")), None)
    if bad is not None:
        raise ValueError(f"must not hold the control character U+{ord(bad):04X}")
    return value


def _label(value: str) -> str:
    return _one_line(unicodedata.normalize("NFC", value).strip())


def _storable(value: Any) -> Any:
    """``value`` itself, after a look at every text in it."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("must not hold the control character U+0000")
    if isinstance(value, dict):
        for key, inner in value.items():
            _storable(key)
            _storable(inner)
    elif isinstance(value, list):
        for inner in value:
            _storable(inner)
    return value


#: A name in a request body; a faulty one is a validation error that names its field.
Label = Annotated[str, AfterValidator(_label)]
#: The id or name of something that is there already: a corpus, a dataset, a file, a model.
Identifier = Annotated[str, AfterValidator(_one_line)]
#: Marks a field of any shape whose texts go into a JSON column: ``Annotated[dict[str, Any], Storable]``.
Storable = AfterValidator(_storable)


def check_label(value: str, param: str) -> str:
    """The name in NFC.

    Raises:
        InvalidInputError: it is blank or holds control characters.
    """
    try:
        return _label(value)
    except ValueError as exc:
        raise InvalidInputError(f"'{param}': the name {exc}.", param=param) from exc


def file_label(value: str) -> tuple[str, tuple[str, ...]]:
    """The name of a file or of a member of an archive as a harmless label, in NFC, and what was changed in it.

    Folders stay (``입고/절차.md``); what leads out of them (``..``, a drive, a leading ``/``) does not, nor do control
    characters and marks that turn the direction of writing. Longer names than 255 characters are cut before their
    ending.
    """
    told = []
    name = unicodedata.normalize("NFC", value)
    kept = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cs") and c not in _TURNING)
    if kept != name:
        told.append(f"{len(name) - len(kept)} control character(s) were left out of the file name.")
    parts = [part.strip() for part in kept.replace("\\", "/").split("/")]
    inside = [part for part in parts if part not in ("", ".", "..") and not (len(part) == 2 and part[1] == ":")]
    if any(part == ".." for part in parts):
        told.append("Parts of the file name that lead out of its folder ('..') were left out.")
    label = "/".join(inside) or "document"
    if len(label) > MAX_FILE_NAME:
        told.append(f"The file name of {len(label):,} characters was cut to {MAX_FILE_NAME}.")
        suffix = PurePosixPath(label).suffix
        suffix = suffix if len(suffix) <= _MAX_SUFFIX else ""
        label = label[: MAX_FILE_NAME - len(suffix)] + suffix
    return label, tuple(told)
