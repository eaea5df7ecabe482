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

__all__ = ["evidence", "repeated", "suspects"]

_ORDERS = r"(?:지시(?:문|사항)?|명령(?:어|문)?|프롬프트|안내|규칙|지침)"
_SAY = r"(?:답변?|대답|응답|출력|말)"
_SUSPECT = re.compile(
    # Ignoring orders and saying something, in one sentence: 작업 지시를 무시하고 새로 발행합니다 is a manual's matter.
    rf"(?:이전|앞|위|지금까지|기존|모든|당신의|원래)[^\n.!?]{{0,20}}{_ORDERS}[^\n.!?]{{0,12}}(?:무시|잊|따르지)"
    rf"[^\n.!?]{{0,60}}{_SAY}[^\n.!?]{{0,10}}(?:하|해|시오|세요|라)"
    rf"|(?:라고|이라고)만?\s?(?:만\s)?{_SAY}\s?(?:하세요|하시오|하십시오|해라|하라|해 ?주세요|해\b)"
    r"|시스템\s?프롬프트|당신은\s(?:이제|지금부터)\s|(?:AI|인공지능|언어\s?모델|챗봇|어시스턴트)(?:\s?모델)?(?:에게|은|는|야|여)"
    r"[^\n.!?]{0,40}(?:하세요|하시오|하십시오|해라|하라)"
    r"|(?:새|새로운|추가)\s(?:지시|명령)(?:문|사항)?\s?[:：]"
    r"|\b(?:ignore|disregard|forget)\b[^\n.!?]{0,30}\b(?:instructions?|prompts?|rules)\b"
    r"|\bsystem prompt\b|\byou are now\b|<\|im_(?:start|end)\|>|\[/?INST\]",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?。]\s|\n")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n|\Z")


def suspects(text: str) -> list[tuple[int, int]]:
    """Half-open ranges from a sentence that orders a model about to the end of its paragraph, without overlap."""
    found: list[tuple[int, int]] = []
    for match in _SUSPECT.finditer(text):
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
    ordered = {noun for noun in nouns("\n".join(orders)) if len(noun) > 1 and noun not in honest}
    return sorted(ordered & set(nouns(reply)))
