"""Rules that turn a chunk's structure into questions: headings, procedures, definitions and "…하려면" sentences.

Korean keeps question words in place, so a clause with another ending is already a question. Only the guarded rules are
here: on real manuals they were usable in 69 % of cases, all rules together in 36 %. Answers are ranges of the chunk,
verbatim. Pure functions; nothing here knows retrieval or verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from corpora.korean.analyse import Morpheme, sentences, tokens
from corpora.markdown import Block, blocks, plain
from corpora.records import Chunk
from generators.particles import with_particle

__all__ = ["RULES_VERSION", "Draft", "drafts"]

RULES_VERSION = 1
#: Headings that name no topic of their own.
STOP_HEADINGS = frozenset(
    {"개요", "소개", "절차", "참고", "주의", "주의 사항", "주의사항", "요약", "기타", "예", "예시", "설명", "배경",
     "다음 단계", "관련 정보", "추가 리소스", "필수 조건", "사전 요구 사항", "목차", "용어", "정리"}
)  # fmt: skip
#: A clause that starts so points at something outside of itself.
POINTERS = ("이 ", "그 ", "저 ", "이를", "그를", "이것", "그것", "해당", "위 ", "위의", "아래", "다음", "앞의", "본 ")
#: Heading endings that ask to be told rather than explained.
TOLD = ("방법", "절차", "기준", "순서", "규칙", "조건", "항목", "시간", "처리", "점검")
DEFINING = ("입니다", "말합니다", "뜻합니다", "가리킵니다", "의미합니다", "이릅니다")

_FORMS = {
    "heading_told": ("{을} 알려 주세요.", "{은} 어떻게 되나요?", "{이} 궁금합니다. 알려 주시겠어요?"),
    "heading_explained": ("{에} 대해 설명해 주세요.", "{에} 대해 알려 주세요.", "{에} 관해 자세히 알고 싶습니다."),
    "procedure": ("{} 어떤 순서로 진행하나요?", "{} 어떤 단계를 거치나요?", "{} 어떻게 하는지 순서를 알려 주세요."),
    "definition": ("{란} 무엇인가요?", "{은} 무엇을 뜻하나요?", "{이} 무엇인지 설명해 주세요."),
    "purpose": ("{} 어떻게 해야 하나요?", "{} 무엇을 해야 하나요?", "{} 어떻게 하면 되나요?"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A question with the range of the chunk that answers it."""

    rule: str  #: Name of the rule.
    question: str  #: The question.
    start: int  #: Offset of the answer in the chunk's text.
    end: int  #: Offset behind it.


def drafts(chunk: Chunk, seed: int) -> Iterator[Draft]:
    """Every question that the rules make of ``chunk``; ``seed`` picks among their surface forms."""
    found = blocks(chunk.text)
    for position, block in enumerate(found):
        following = found[position + 1] if position + 1 < len(found) else None
        if block.kind == "heading":
            yield from _of_heading(found[position + 1 :], block, seed)
        elif block.kind == "paragraph":
            introduces = following is not None and following.kind == "list" and following.ordered
            yield from _of_paragraph(block, following if introduces else None, seed)


def _form(rule: str, phrase: str, seed: int) -> str:
    """One of the rule's surface forms, with the particles that the phrase needs."""
    forms = _FORMS[rule]
    form = forms[(seed + len(phrase)) % len(forms)]
    filled = form.replace("{}", phrase)
    for mark, pair in (("{을}", "을/를"), ("{은}", "은/는"), ("{이}", "이/가"), ("{란}", "이란/란")):
        if mark in filled:
            filled = filled.replace(mark, with_particle(phrase, pair))
    return filled.replace("{에}", f"{phrase}에")


def _of_heading(below: list[Block], heading: Block, seed: int) -> Iterator[Draft]:
    title = plain(heading.text).rstrip(".?! ")
    if heading.level == 1 or title in STOP_HEADINGS or len(title) < 6 or title.startswith(POINTERS):
        return
    body = []
    for block in below:
        if block.kind != "paragraph":
            break
        body.append(block)
    if not body:
        return
    # The announcement of a list that is left out would be a stub: the procedure rule answers with the list itself.
    after = below[len(body)] if len(body) < len(below) else None
    if after is not None and after.kind in ("list", "table"):
        body = body[:-1] if _announces(body[-1].text) else body
    if not body:
        return
    rule = "heading_told" if title.endswith(TOLD) else "heading_explained"
    yield Draft(rule=rule, question=_form(rule, title, seed), start=body[0].start, end=body[-1].end)


def _announces(text: str) -> bool:
    last = text.rstrip().rsplit(". ", 1)[-1]
    return "다음" in last or "아래" in last or last.endswith(":")


def _of_paragraph(block: Block, steps: Block | None, seed: int) -> Iterator[Draft]:
    spans = sentences(block.text)
    for number, (low, high) in enumerate(spans):
        sentence = block.text[low:high].strip()
        start = block.start + low + len(block.text[low:high]) - len(block.text[low:high].lstrip())
        end = start + len(sentence)
        morphemes = tokens(sentence)
        last = number == len(spans) - 1
        clause = _purpose(sentence, morphemes)
        if clause is not None:
            if last and steps is not None:
                yield Draft(rule="procedure", question=_form("procedure", clause, seed), start=start, end=steps.end)
            elif not _announces(sentence):
                yield Draft(rule="purpose", question=_form("purpose", clause, seed), start=start, end=end)
            continue
        term = _definition(sentence, morphemes)
        if term is not None:
            yield Draft(rule="definition", question=_form("definition", term, seed), start=start, end=end)


def _purpose(sentence: str, morphemes: list[Morpheme]) -> str | None:
    """The clause up to "-려면" when the sentence opens with one that stands alone."""
    for position, morpheme in enumerate(morphemes):
        if morpheme.tag in ("SF", "SP") and position > 0:
            return None
        if morpheme.tag == "EC" and morpheme.form.endswith("려면"):
            clause = sentence[: morpheme.end].strip()
            nouns = sum(m.tag.startswith("NN") for m in morphemes[:position])
            if 6 <= len(clause) <= 60 and nouns and not clause.startswith(POINTERS):
                return clause
            return None
    return None


def _definition(sentence: str, morphemes: list[Morpheme]) -> str | None:
    """The term that "X란 … 말합니다" defines, or "X은/는 … 말합니다"."""
    if not sentence.rstrip(". ").endswith(DEFINING):
        return None
    for position, morpheme in enumerate(morphemes[:16]):
        if morpheme.form != "란" or position == 0 or morpheme.tag not in ("ETM", "JX", "EF", "EC"):
            continue
        copula = morphemes[position - 1]
        head = copula.start if copula.tag == "VCP" and copula.end > copula.start else morpheme.start
        term = sentence[:head].strip()
        if 2 <= len(term) <= 30 and not term.startswith(POINTERS):
            return term
    return None
