"""The gates of a question-answer pair that claims to rest on passages: quotes, numbers, a question that stands alone.

Pure functions of texts. Each gives a ``Verdict`` of stage ``grounding`` with its evidence, or None where it sees no
fault. Must not know models, prompts or the index; ``rag_qa`` runs them in order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from corpora.records import Verdict

__all__ = [
    "MIN_QUOTE_CHARS",
    "find_quote",
    "mentions_passages",
    "refused",
    "stands_alone",
    "unsupported_number",
]

#: Characters, blanks not counted, that a quote needs to be evidence: a shorter one ("입고", "48시간") occurs anywhere.
MIN_QUOTE_CHARS = 8

_WORD_BEFORE = r"(?<![가-힣A-Za-z0-9])"
_TEXT_NOUN = r"(?:문서|문단|문장|지문|본문|글|내용|표|그림|도표|목록|자료|매뉴얼|페이지|화면|예시|항목|절|장|설명)"
_STEP_NOUN = r"(?:경우|단계|절차|과정|규정|규칙|기준|방법|상황|조건|작업)"
_NOT_ALONE = tuple(
    re.compile(pattern)
    for pattern in (
        # 다음 and 아래 point into the text only before a noun that means text: "피킹 다음 단계" is a fine question.
        rf"{_WORD_BEFORE}(?:위|아래|다음|앞|상기|하기)(?:의|에서 말한|에 나온)?\s+{_TEXT_NOUN}",
        rf"{_WORD_BEFORE}(?:위|상기)(?:의)?\s+{_STEP_NOUN}",
        rf"{_WORD_BEFORE}(?:이|해당|본)\s+(?:{_TEXT_NOUN}|{_STEP_NOUN})",
        # "라벨 1장" counts labels: a chapter is meant at the start of the question, after 제, or with 에서/에 따르면.
        r"제\s?\d+\s?[장절항](?![가-힣]*비)",
        r"\A\s*\d+(?:\.\d+)*\s?[장절항](?:\s|의|에|은|을)",
        r"\d+(?:\.\d+)*\s?[장절항]에\s?(?:따르면|의하면|나온|나오는|설명된)",
        r"(?:문서|본문|지문|매뉴얼|자료|글)(?:에|의 내용에)\s?(?:따르면|의하면|나온|언급된|나와 있는|제시된)",
        r"(?:앞서|앞에서|위에서)\s+(?:말한|설명한|언급한|나온|언급된|설명된)",
        r"(?:지문|passage)\s*\[?\d|\[\d+\]",
    )
)
_PASSAGE_MENTION = re.compile(r"\[\d+\]|\d+번\s?지문|지문(?:에|의|\s?\d)|passage\s?\d", re.IGNORECASE)

_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:[.:]\d+)*")
# Line numbers of an enumerated answer ("1. …", "2) …") are layout, not facts.
_LIST_NUMBER = re.compile(r"^[ \t]*(\d{1,2})[.)][ \t]", re.MULTILINE)
# Units whose exchange changes the fact. The longest first: 시간 before 시, 개월 before 개.
_UNITS = (
    "시간", "개월", "분기", "단계", "박스", "상자", "팔레트", "퍼센트", "페이지", "년", "월", "일", "주", "시", "분",
    "초", "회", "번", "개", "건", "명", "대", "층", "열", "칸", "장", "원", "도", "배", "차", "%", "℃", "°C", "kg",
    "km", "cm", "mm", "g", "m", "톤",
)  # fmt: skip
_UNIT = re.compile("|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True)))
# "24~48시간", "2–3일": the first number carries the unit of the second.
_RANGE = re.compile(r"\s?(?:~|∼|–|-|에서)\s?(?:\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:[.:]\d+)*)\s?")


def refused(reason: str, **evidence: Any) -> Verdict:
    """A verdict of this stage."""
    return Verdict(stage="grounding", reason=reason, evidence=evidence)


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
    for pattern in _NOT_ALONE:
        match = pattern.search(question)
        if match:
            return refused("question_not_standalone", pattern=match.group(0).strip())
    return None


def mentions_passages(answer: str) -> Verdict | None:
    """Refuse an answer that names the prompt's passages ("[2]", "지문에 따르면")."""
    match = _PASSAGE_MENTION.search(answer)
    return refused("answer_mentions_passage", pattern=match.group(0)) if match else None


def unsupported_number(answer: str, question: str, contexts: Sequence[str]) -> Verdict | None:
    """Refuse an answer with a number that stands in no cited passage, or stands there only with another unit.

    Numbers are compared as written, thousands separators aside, so 1,000 and 1000 are the same and 7 and 7.0 are not.
    A number with a unit is supported by the same number with that unit or with none (a table's cell). A number that the
    question itself names may be repeated.
    """
    known: dict[str, set[str | None]] = {}
    for text in (*contexts, question):
        for number, unit in _numbers(text):
            known.setdefault(number, set()).add(unit)
    for number, unit in _numbers(_without_list_numbers(answer)):
        units = known.get(number)
        if units is None:
            return refused("number_not_in_context", number=number)
        if unit is not None and unit not in units and None not in units:
            return refused("number_with_other_unit", number=number, unit=unit, context_units=sorted(_named(units)))
    return None


def _named(units: Iterable[str | None]) -> list[str]:
    return [unit for unit in units if unit is not None]


def _without_list_numbers(answer: str) -> str:
    """Drop the numbers of an enumeration, where they really count up from 1."""
    marks = list(_LIST_NUMBER.finditer(answer))
    if [int(mark.group(1)) for mark in marks] != list(range(1, len(marks) + 1)):
        return answer
    return _LIST_NUMBER.sub("", answer)


def _numbers(text: str) -> list[tuple[str, str | None]]:
    """Every number of a text in canonical writing, with the unit behind it where that is a known one."""
    text = unicodedata.normalize("NFKC", text)
    found: list[tuple[str, str | None]] = []
    for match in _NUMBER.finditer(text):
        behind = match.end()
        reach = _RANGE.match(text, behind)
        unit = _unit_at(text, behind) or (_unit_at(text, reach.end()) if reach else None)
        found.append((match.group(0).replace(",", ""), unit))
    return found


def _unit_at(text: str, position: int) -> str | None:
    if text[position : position + 1] == " ":
        position += 1
    match = _UNIT.match(text, position)
    return match.group(0) if match else None
