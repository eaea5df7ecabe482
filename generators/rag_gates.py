"""The gates of a question-answer pair that claims to rest on passages: quotes, numbers, a question that stands alone.

Pure functions of texts. Each gives a ``Verdict`` of stage ``grounding`` with its evidence, or None where it sees no
fault. Must not know models, prompts or the index; ``grounding`` and the generators run them in order, cheap first.
Numbers (``number_gate``), codes (``code_gate``) and nouns are compared; ``negation_gate`` sees a denial put in or taken
out. Whether a sentence of an answer twists what its words say in another way, only a judge sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from corpora.korean.analyse import nouns
from corpora.records import Verdict
from generators.code_gate import codes, unsupported_code
from generators.curation.standalone import pointing_phrase
from generators.gate_verdicts import refused
from generators.number_gate import NumberClaim, number_claims, unsupported_number

__all__ = [
    "MIN_QUOTE_CHARS",
    "MIN_SUPPORTED_NOUNS",
    "NumberClaim",
    "asks_structure",
    "codes",
    "find_quote",
    "mentions_passages",
    "number_claims",
    "refused",
    "stands_alone",
    "ungrounded",
    "unsupported_code",
    "unsupported_number",
]

#: Characters, blanks not counted, that a quote needs to be evidence: a shorter one ("입고", "48시간") occurs anywhere.
MIN_QUOTE_CHARS = 8

#: Share of an answer's nouns that its passages or its question must hold. An answer may explain in words of its own
#: (담당자, 확인, 경우); one of which most nouns are foreign to both rests on something else.
MIN_SUPPORTED_NOUNS = 0.5

_PASSAGE_MENTION = re.compile(r"\[\d+\]|\d+번\s?지문|지문(?:에|의|\s?\d)|passage\s?\d", re.IGNORECASE)

# A text without a name of its own: 출고 문서의 작성자 asks for a thing, 이 문서의 작성자 for the text.
_TEXT = (
    r"(?:\A\s*|[,.] |(?<![가-힣])(?:이|본|해당|위|상기|전체) )"
    r"(?:문서|매뉴얼|안내서|설명서|지침서|가이드|교재|글|지문|본문)"
)
_PART = r"(?:장|절|챕터|단원|섹션|파트)"
# Questions about a document instead of its matter ("1장의 내용은 무엇인가요?", "이 문서의 목차는?").
_STRUCTURE = re.compile(
    r"목차|차례(?:는|가) (?:무엇|어떻게)"
    rf"|(?:제\s?)?(?:\d+(?:\.\d+)*|첫|두|세|네|마지막)\s?(?:번째\s?)?{_PART}(?:의|에는|에서는?|은|는)?\s?"
    r"(?:주요 |핵심 |전체 |무엇을 |어떤 것을 |어떤 내용을 )?(?:내용|제목|주제|요약|개요|설명하|다루)"
    rf"|몇\s?(?:개의\s?)?{_PART}(?:으로|로)?\s?[가-힣]{{0,4}}\s?(?:구성|나뉘|나누어져|이루어)"
    rf"|(?:어느|어떤|무슨)\s?(?:{_PART}|페이지|쪽)(?:에|에서|이|가|을|를)\s"
    r"|몇\s?(?:페이지|쪽)(?:에|로|으로|이나)?\s?(?:나오|나와|있|되|인가)"
    rf"|{_TEXT}(?:의|은|는|에는)?\s?(?:제목|구성|저자|작성자|작성일|머리말|서문|부록|개정 이력|버전)(?:은|는|이|가)?\s?"
    r"(?:무엇|어떻게|누구|언제|몇|뭐|어떤)"
    rf"|{_TEXT}(?:은|는|이|가)\s?(?:무엇을|어떤 내용을|어떻게|무슨 내용을)\s?(?:다루|구성|설명하|담고|소개)"
    rf"|{_TEXT}(?:의|에서)\s?(?:주요 |핵심 )?(?:내용|목적|주제)(?:은|는)?\s?(?:무엇|뭐)"
)


def find_quote(quote: str, source: str) -> tuple[int, int] | None:
    """Where a quote stands in a text, runs of blanks and line breaks counting as one blank.

    Returns:
        The half-open range in ``source`` of the first occurrence, or None. Nothing else is forgiven: letters, marks
        and digits must be the same.
    """
    wanted = " ".join(unicodedata.normalize("NFC", quote).split())
    if not wanted:
        return None
    # One character of `flat` for each kept character of the source, and where it came from.
    flat: list[str] = []
    origin: list[int] = []
    for position, character in enumerate(source):
        if not character.isspace():
            flat.append(character)
        elif flat and flat[-1] != " ":
            flat.append(" ")
        else:
            continue
        origin.append(position)
    start = "".join(flat).find(wanted)
    if start < 0:
        return None
    return origin[start], origin[start + len(wanted) - 1] + 1


def stands_alone(question: str) -> Verdict | None:
    """Refuse a question that points into a text its reader does not see ("이 표", "위 문서", "1장에서")."""
    phrase = pointing_phrase(question)
    return refused("question_not_standalone", pattern=phrase) if phrase else None


def asks_structure(question: str) -> Verdict | None:
    """Refuse a question about how a document is built ("목차는?", "1장의 내용은?") instead of what it says."""
    match = _STRUCTURE.search(question)
    return refused("asks_document_structure", pattern=match.group(0).strip()) if match else None


def mentions_passages(answer: str) -> Verdict | None:
    """Refuse an answer that names the prompt's passages ("[2]", "지문에 따르면")."""
    match = _PASSAGE_MENTION.search(answer)
    return refused("answer_mentions_passage", pattern=match.group(0)) if match else None


def ungrounded(answer: str, question: str, contexts: Sequence[str]) -> Verdict | None:
    """Refuse an answer most of whose nouns stand neither in its passages nor in its question.

    Catches an answer about something else ("HACKED", a poem), not one that turns the passage's words around.
    """
    said = sorted(nouns(answer))
    if not said:
        return None
    known = "".join("".join((*contexts, question)).split()).casefold()
    foreign = [noun for noun in said if noun not in known]
    share = 1 - len(foreign) / len(said)
    if share >= MIN_SUPPORTED_NOUNS:
        return None
    verdict = refused("answer_not_grounded", foreign=foreign[:10], limit=MIN_SUPPORTED_NOUNS)
    return replace(verdict, score=round(share, 4))
