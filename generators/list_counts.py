"""How many things a Korean text may list: by its lines, its commas and 와/과, its clauses, its sentences.

``listed_counts`` gives every number that can be meant, so that 세 가지 before three things claims nothing of its own.
Must not know numbers or verdicts.
"""

from __future__ import annotations

import re
import unicodedata

from corpora.korean.analyse import sentences, tokens

__all__ = ["listed_counts"]

_ITEM = re.compile(r"^[ \t]*(?:\d{1,2}[.)]|[-*•·]|[①-⑳]|\|)[ \t]", re.MULTILINE)
_ORDINAL = re.compile(r"첫째|둘째|셋째|넷째|다섯째|첫 번째|두 번째|세 번째|네 번째|하나는|다른 하나는|또 하나는")
_JOINING_ENDINGS = frozenset({"고", "며", "면서", "거나", "어서", "아서", "은 뒤", "ᆫ 뒤"})


def listed_counts(text: str, *, clauses: bool) -> frozenset[int]:
    """Numbers of things that ``text`` can list.

    Args:
        text: What may list them.
        clauses: Whether clauses and sentences may be the things, as for 가지 and 단계; persons and places are nouns.
    """
    text = unicodedata.normalize("NFKC", text)
    found = {len(_ITEM.findall(text)), len(_ORDINAL.findall(text))}
    parts = _sentences(text)
    if clauses:
        found |= {len(parts) - 1, len(parts)} if len(parts) > 2 else set()
    for part in parts:
        morphemes = tokens(part)
        nouns = sum(m.tag == "JC" or (m.tag == "SP" and m.form in "·,/、") for m in morphemes)
        pairs = sum(m.tag == "MAJ" and m.form in ("및", "또는", "그리고", "혹은") for m in morphemes)
        found |= {nouns + 1, nouns + pairs + 1} if nouns + pairs else set()
        if clauses:
            joined = sum(m.tag == "EC" and m.form in _JOINING_ENDINGS for m in morphemes)
            found |= {joined + 1} if joined else set()
    return frozenset(found - {0})


def _sentences(text: str) -> list[str]:
    text = unicodedata.normalize("NFC", text)
    return [text[start:end] for start, end in sentences(text)]
