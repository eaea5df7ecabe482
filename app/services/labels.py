"""Names and ids that clients give: one line, no control characters (PostgreSQL cannot even store a NUL).

``Label`` is a name that a person chose, brought to NFC; ``Identifier`` names something that is there, kept as sent;
``Storable`` is any text or JSON value that the store can hold. All three are for fields of request bodies.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator

from corpora.errors import InvalidInputError

__all__ = ["Identifier", "Label", "Storable", "check_label"]


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
