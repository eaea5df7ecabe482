"""What pydantic found wrong, as an error that names the field as the client wrote it and says what to do.

Pydantic's locations hold more than fields (branches of unions, positions in broken JSON) and its messages speak of
Python ("items" of a text). Here both become the client's. Every room that validates a body by hand uses this too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from corpora.errors import InvalidInputError

__all__ = ["broken_json", "invalid_body", "invalid_fields", "known_fields"]

_SHAPES = frozenset({"model_attributes_type", "model_type", "dict_type"})
_LENGTHS = {"too_long": ("at most", "max_length"), "too_short": ("at least", "min_length")}


def broken_json(what: str, position: int | None = None, param: str | None = None) -> InvalidInputError:
    """A body, or a field of a form, that is no JSON; ``position`` counts characters from 0."""
    at = "" if position is None else f" at character {position}"
    subject = f"'{param}'" if param else "The body"
    return InvalidInputError(f"{subject} is not valid JSON ({what}{at}).", param=param, code="invalid_json")


def invalid_body(
    exc: ValidationError, body: Any = None, where: Sequence[str] = (), shape: Any = None
) -> InvalidInputError:
    """The first fault of a body that was validated by hand.

    Args:
        exc: What pydantic raised.
        body: The parsed body, so that branches of unions can be told from fields; None when it was JSON text.
        where: Names of the fields around it.
        shape: Type that it was validated by.
    """
    first = exc.errors()[0]
    if first["type"] == "json_invalid":
        return broken_json(str(first.get("ctx", {}).get("error", first["msg"])), param=".".join(where) or None)
    return invalid_fields(list(exc.errors()), body, where, shape)


def invalid_fields(
    errors: Sequence[Mapping[str, Any]], body: Any = None, where: Sequence[str] = (), shape: Any = None
) -> InvalidInputError:
    """The first of ``errors`` with the field's own name; branches of one union are told together.

    Args:
        errors: As pydantic tells them.
        body: As ``invalid_body`` takes it.
        where: The same.
        shape: Type of the body, so that a field that nobody knows can be told with those that are known.
    """
    first = errors[0]
    field = _field(first, body)
    if first["type"] == "extra_forbidden" and field:
        return _unknown([*where, *field], known_fields(shape, field[:-1]))
    messages = list(dict.fromkeys(_message(error) for error in errors if _field(error, body) == field))
    param = ".".join([*where, *field]) or None
    prefix = f"'{param}': " if param else ""
    if not param and first["type"] in _SHAPES:
        return InvalidInputError("The body must be a JSON object.")
    if not param and first["type"] == "missing":
        return InvalidInputError("The body is missing; send a JSON object.")
    return InvalidInputError(prefix + ", or: ".join(messages), param=param)


def _unknown(path: Sequence[str], known: Sequence[str]) -> InvalidInputError:
    param, name = ".".join(path), path[-1]
    message = f"'{param}': Extra inputs are not permitted."  # pydantic's words, which clients may know
    if known:
        # ``rank`` for ``r`` is too far for a comparison of letters.
        near = get_close_matches(name, known, n=1) or [one for one in known if name.startswith(one)]
        meant = f" Did you mean '{near[0]}'?" if near else ""
        message += f"{meant} Known are {', '.join(sorted(known))}."
    return InvalidInputError(message, param=param)


def known_fields(shape: Any, path: Sequence[str]) -> tuple[str, ...]:
    """Names of the fields that may stand at ``path`` in a body of type ``shape``; none where that cannot be told.

    Args:
        shape: A pydantic model, or a union, list or annotation around models; None where it is not known.
        path: Names of fields, and positions in lists, as a client wrote them.
    """
    models = _models(shape)
    for part in path:
        if not part.isdigit():
            inner = [model.model_fields[part].annotation for model in models if part in model.model_fields]
            models = [found for annotation in inner for found in _models(annotation)]
    return tuple(dict.fromkeys(name for model in models for name in model.model_fields))


def _models(shape: Any) -> list[type[BaseModel]]:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return [shape]
    return [found for inner in get_args(shape) for found in _models(inner)]


def _field(error: Mapping[str, Any], body: Any) -> tuple[str, ...]:
    """The location without the names of union branches: those are keys of nothing that the client sent."""
    parts = list(error["loc"])
    found: list[str] = []
    current, known = body, isinstance(body, dict | list)
    for position, part in enumerate(parts):
        absent = error["type"] == "missing" and position == len(parts) - 1
        if known and not absent:
            fits = isinstance(current, list) if isinstance(part, int) else isinstance(current, dict) and part in current
            if not fits:
                continue
            current = current[part]
        found.append(str(part))
    return tuple(found)


def _message(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    if error["type"] in _LENGTHS and isinstance(error.get("input"), str):
        words, bound = _LENGTHS[error["type"]]
        return f"should have {words} {context[bound]} characters, not {context['actual_length']}"
    return str(error["msg"]).removeprefix("Value error, ")
