"""JSON and JSONL of texts: each text a section of one document, under its title where it has one.

Read are a string, an object with a text (``text``, ``content``, ``body``, ``본문``, ``내용``), a list of these, and an
object whose one list holds them (``documents``, ``data``, ``texts``). Rows of a dataset (``messages``, ``instruction``)
are no documents: they are imported. Knows nothing of chunks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from corpora.readers.decode import decode
from corpora.readers.extracted import Extracted, Page, no_text, unreadable

__all__ = ["read_json", "read_jsonl"]

_TEXTS = ("text", "content", "body", "본문", "내용", "document", "문서")
_TITLES = ("title", "제목", "name", "heading")
_LISTS = ("documents", "data", "texts", "items", "문서")
_DATASET = frozenset({"messages", "instruction", "conversations", "prompt", "completion", "chosen", "rejected"})
_WHY_EMPTY = f"holds no texts; expected are strings, or objects with one of {', '.join(_TEXTS)}."


def read_json(data: bytes, name: str) -> Extracted:
    """A JSON file of texts.

    Raises:
        UnreadableDocumentError: no JSON (``damaged_file``), or JSON without texts (``no_text``).
    """
    text, encoding, warnings = decode(data, name)
    return _document(name, encoding, warnings, [_parsed(text, name, "")])


def read_jsonl(data: bytes, name: str) -> Extracted:
    """A JSON value a line.

    Raises:
        UnreadableDocumentError: a line is no JSON (``damaged_file``; it is named), or there are no texts.
    """
    text, encoding, warnings = decode(data, name)
    lines = enumerate(text.split("\n"), start=1)
    values = [_parsed(line, name, f" in line {number}") for number, line in lines if line.strip()]
    return _document(name, encoding, warnings, values)


def _parsed(text: str, name: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise unreadable(name, "damaged_file", f"is no JSON{where}: {exc}.") from exc


def _document(name: str, encoding: str, warnings: tuple[str, ...], values: list[Any]) -> Extracted:
    page = Page(name)
    for warning in warnings:
        page.warn(warning)
    passed = 0
    for title, text in (found for value in values for found in _texts(value, name)):
        if text is None:
            passed += 1
            continue
        if title and text.lstrip("\n").partition("\n")[0].lstrip("# ").strip() != title.strip():
            page.heading(2, title)
        page.block(text)
    if passed:
        page.warn(f"{passed} entries hold no text and were left out.")
    return replace(page.done(why_empty=_WHY_EMPTY), encoding=encoding)


def _texts(value: Any, name: str) -> Iterator[tuple[str | None, str | None]]:
    """(title, text) of each entry; text None for one that has none."""
    if isinstance(value, dict) and not any(isinstance(value.get(key), str) for key in _TEXTS):
        value = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), value)
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, dict):
            if _DATASET & entry.keys():
                raise no_text(name, "holds rows of a dataset, not documents; import it instead.")
            text = next((entry[key] for key in _TEXTS if isinstance(entry.get(key), str)), None)
            title = next((entry[key] for key in _TITLES if isinstance(entry.get(key), str)), None)
            yield title, text if text is not None and text.strip() else None
        else:
            yield None, entry if isinstance(entry, str) and entry.strip() else None
