"""Sentences of a document that speak to a language model instead of a reader: "이전 지시를 무시하고 …라고 답하세요".

Prompts fence passages and say that they are data. This room is for the model that obeys all the same: ``evidence``
blanks such sentences and what follows them in their paragraph, so that nothing can be quoted from them or rest on them;
``suspects`` names them, so that what was made beside them carries a flag; ``repeated`` finds their words in a reply. It
knows wordings, not intents: a reworded attack passes here, and then meets the gates of grounding like any other text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from corpora.korean.analyse import nouns
from generators.injection_wordings import SUSPECT

__all__ = ["evidence", "repeated", "suspects"]

_SENTENCE_END = re.compile(r"[.!?。]\s|\n")
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9-]+")
#: A line break inside a paragraph, as PDFs wrap their lines; an item of a list or a row of a table begins anew.
_WRAP = re.compile(r"(?<![\n\r])\r?\n(?![ \t]*(?:[-*•·|#>\n\r]|\d{1,2}[.)]|\Z))")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n|\Z")


def suspects(text: str) -> list[tuple[int, int]]:
    """Half-open ranges from a sentence that orders a model about to the end of its paragraph, without overlap."""
    found: list[tuple[int, int]] = []
    for match in SUSPECT.finditer(_WRAP.sub(lambda wrap: " " * len(wrap.group(0)), text)):
        if found and match.start() < found[-1][1]:
            continue
        start = max((end.end() for end in _SENTENCE_END.finditer(text, 0, match.start())), default=0)
        stop = _PARAGRAPH_END.search(text, match.end())
        found.append((start, stop.start() if stop else len(text)))
    return found


def evidence(text: str) -> str:
    """``text`` with those ranges blanked; as long as before, so that offsets hold."""
    for start, end in suspects(text):
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def repeated(reply: str, texts: Sequence[str]) -> list[str]:
    """Nouns and Latin words of ``reply`` that stand in orders of ``texts`` and nowhere else in them, sorted."""
    orders = [text[start:end] for text in texts for start, end in suspects(text)]
    if not orders:
        return []
    honest = "".join("".join(evidence(text).split()) for text in texts).casefold()
    ordered = {word for word in _words("\n".join(orders)) if len(word) > 1 and word not in honest}
    return sorted(ordered & _words(reply))


def _words(text: str) -> set[str]:
    """Nouns and Latin words; Kiwi takes some of these apart ("HACKED." for the end of an address)."""
    return {*nouns(text), *(word.casefold() for word in _LATIN.findall(text))}
