"""Names that clients give: NFC, one line, no control characters (PostgreSQL cannot even store a NUL)."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from corpora.errors import InvalidInputError

__all__ = ["Label", "check_label"]


def _label(value: str) -> str:
    value = unicodedata.normalize("NFC", value).strip()
    if not value:
        raise ValueError("must hold more than blanks")
    bad = next((character for character in value if unicodedata.category(character) in ("Cc", "Cs")), None)
    if bad is not None:
        raise ValueError(f"must not hold the control character U+{ord(bad):04X}")
    return value


#: A name in a request body; a faulty one is a validation error that names its field.
Label = Annotated[str, AfterValidator(_label)]


def check_label(value: str, param: str) -> str:
    """The name in NFC.

    Raises:
        InvalidInputError: it is blank or holds control characters.
    """
    try:
        return _label(value)
    except ValueError as exc:
        raise InvalidInputError(f"'{param}': the name {exc}.", param=param) from exc
