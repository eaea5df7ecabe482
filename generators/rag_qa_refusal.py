"""The gate of questions that the documents do not answer, with their polite refusals.

Decided: a question counts as unanswerable when the words that name what it asks for stand nowhere on this side of the
corpus, blanks and case aside, and the passage that search finds first for it was shown to the model, which found no
answer there. The model names those words (``asked``); they must stand in the question and hold a noun of it.

Limits: a document that tells the thing by another name (할증 요금, 추가 운임) is not noticed, nor is a person's name
that the answer does not hang on. Held-out documents are never looked at; a question may have its answer there. Such
rows are for a judge, who is shown the passages. Pure functions of texts; Kiwi for nouns and for the speech level.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from corpora.korean.analyse import nouns
from corpora.korean.speech import is_polite
from corpora.records import Chunk, Verdict
from generators import rag_gates

__all__ = ["MAX_REFUSAL_CHARS", "answerable", "refusal_fault"]

#: Two sentences: that the documents do not tell, and whom to ask. What is longer tells something else.
MAX_REFUSAL_CHARS = 200

_SOURCE = r"(?:문서|매뉴얼|자료|안내서|설명서|지침|규정)"
_NOT_THERE = (
    r"(?:없|찾을 수 없|확인할 수 없|확인되지 않|확인하기 어렵|알 수 없"
    r"|(?:나와|나타나|적혀|쓰여|실려|정해져|들어) ?(?:있지 )?않"
    r"|(?:다루|설명하|안내하|언급하|제시하|규정하|포함하|담)(?:고 있)?지 않"
    r"|(?:포함|명시|기재|언급|안내|설명|기술|수록|제시|규정|등록)(?:되어 있|돼 있|되)지 않)"
)
_REFUSES = re.compile(rf"{_SOURCE}[^\n.!?]{{0,80}}{_NOT_THERE}")
_GUESSES = re.compile(r"(?:보통|일반적으로|통상(?:적으로)?|대체로|대개|아마도?)(?![가-힣])")
#: Nouns that ask and name nothing.
_ASKING = frozenset({"얼마", "무엇", "언제", "어디", "누구", "어느", "경우", "때", "것"})


def refusal_fault(answer: str, question: str) -> Verdict | None:
    """Refuse an answer that does not say politely, and without anything else, that the documents do not tell."""
    if not _REFUSES.search(answer):
        return rag_gates.refused("answer_does_not_refuse", pattern="문서에 없다는 말이 없음")
    if len(answer) > MAX_REFUSAL_CHARS:
        return rag_gates.refused("refusal_too_long", chars=len(answer), limit=MAX_REFUSAL_CHARS)
    guess = _GUESSES.search(answer)
    if guess:
        return rag_gates.refused("refusal_guesses", pattern=guess.group(0))
    if not is_polite(answer):
        return rag_gates.refused("refusal_not_polite", answer=answer)
    return (
        rag_gates.mentions_passages(answer)
        or rag_gates.unsupported_number(answer, question, ())
        or rag_gates.unsupported_code(answer, (question,))
    )


def answerable(
    question: str, asked: Sequence[str], chunks: Sequence[Chunk], shown: Sequence[Chunk], best: Chunk | None
) -> Verdict | None:
    """Refuse a question that may have its answer in the documents.

    Args:
        question: What is asked.
        asked: The words of it that name what it asks for, as the model says.
        chunks: All chunks of this side.
        shown: What the model saw.
        best: What search finds first for the question.
    """
    terms = [" ".join(term.split()) for term in asked if term.strip()]
    if not terms:
        return rag_gates.refused("asked_terms_missing", asked=list(asked))
    matter = {noun for noun in nouns(question) if noun not in _ASKING}
    for term in terms:
        dense = "".join(term.split()).casefold()
        if dense not in "".join(question.split()).casefold():
            return rag_gates.refused("asked_term_not_in_question", term=term)
        if len(dense) < 2 or not any(noun in dense for noun in matter):
            return rag_gates.refused("asked_term_names_nothing", term=term)
    if best is None or all(best.id != chunk.id for chunk in shown):
        return rag_gates.refused("best_passage_not_shown", best=best.id if best else None)
    for term in terms:
        found = _where(term, chunks)
        if found is not None:
            return rag_gates.refused("question_may_be_answerable", term=term, chunk_id=found)
    return None


def _where(term: str, chunks: Sequence[Chunk]) -> str | None:
    """The first chunk that holds a term in its text or headings, however it is spaced."""
    pattern = re.compile(r"\s*".join(map(re.escape, "".join(term.split()))), re.IGNORECASE)
    for chunk in chunks:
        if pattern.search(chunk.text) or any(pattern.search(title) for title in chunk.headings):
            return chunk.id
    return None
