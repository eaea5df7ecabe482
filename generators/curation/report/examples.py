"""Rejected rows as examples: shortened with their full length told, personal data masked, evidence as plain values.

A report is passed around more freely than a dataset, so it shows no number of a person.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from corpora.korean.personal_data import confident, find_personal_data, mask
from corpora.records import Sample

__all__ = ["EXAMPLE_CHARS", "example", "plain", "shortened"]

EXAMPLE_CHARS = 300
_ITEMS = 20
_DEPTH = 4
#: Analysed for personal data of a text that is cut anyway: what is shown, and enough behind it to see a number whole.
_LOOKED_AT = EXAMPLE_CHARS + 200


def shortened(text: str) -> str:
    """The first ``EXAMPLE_CHARS`` characters, NFC and masked, with an ellipsis where something is left out."""
    text = unicodedata.normalize("NFC", text)
    head = text[:_LOOKED_AT]
    masked = mask(head, confident(find_personal_data(head)))
    cut = len(text) > _LOOKED_AT or len(masked) > EXAMPLE_CHARS
    return f"{masked[:EXAMPLE_CHARS].rstrip()}…" if cut else masked


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON holds it: numbers that JSON lacks and foreign objects as text, long lists cut and counted."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict) and depth < _DEPTH:
        kept = {shortened(str(key)): plain(entry, depth + 1) for key, entry in list(value.items())[:_ITEMS]}
        return kept if len(value) <= _ITEMS else kept | {"…": f"{len(value) - _ITEMS} more"}
    if isinstance(value, list | tuple) and depth < _DEPTH:
        items = [plain(entry, depth + 1) for entry in value[:_ITEMS]]
        return items if len(value) <= _ITEMS else [*items, f"… {len(value) - _ITEMS} more"]
    return shortened(str(value))


def example(sample: Sample) -> dict[str, Any]:
    """A rejected sample as an example of its reason: id, question, answer, their full lengths, score, evidence."""
    candidate = sample.candidate
    shown: dict[str, Any] = {
        "id": sample.id,
        "question": shortened(candidate.question),
        "question_chars": len(candidate.question),
        "answer": shortened(candidate.answer),
        "answer_chars": len(candidate.answer),
        "score": plain(sample.verdict.score),
        "evidence": plain(sample.verdict.evidence),
    }
    if candidate.malformed is not None:
        shown |= {"raw": shortened(candidate.raw or ""), "raw_chars": len(candidate.raw or "")}
    return shown
