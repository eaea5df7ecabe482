"""The gates of a question that a model wrote on a passage, cheap first.

``written_fault`` gives the first fault: the quote or the answer is not in the passage, the text is no Korean question,
tells its answer, copies the passage, has numbers or codes of its own, or leans on the passage. Pure functions of texts.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from pydantic import BaseModel, ConfigDict, Field

from corpora.korean.script import hangul_share
from corpora.records import Verdict
from generators import rag_gates
from generators.grounding_injection import evidence, repeated, suspects

__all__ = ["MAX_COPIED", "Written", "written_fault"]

#: Share of a question, blanks and marks aside, that may be one run of the passage. A sentence whose ending alone was
#: turned into a question has about 0.85 (18 of 21 syllables), one with a question word in its place about half.
MAX_COPIED = 0.75
_MIN_HANGUL = 0.4  # As the curation's filter of script.

_ASKS = re.compile(
    r"[?？]\s*\Z|(?:설명|말씀|소개|비교|정리|열거|안내)해 ?(?:주세요|주십시오|주시겠어요)[.!]?\s*\Z"
    r"|(?:적|쓰|고르|답하)(?:으)?(?:시오|십시오|세요)[.]?\s*\Z"
    r"|알려 ?(?:주세요|주십시오)[.!]?\s*\Z|(?:까요|까|나요|는지요|가요)[.]?\s*\Z"
)
_MARKS = re.compile(r"[\W_]+")


class Written(BaseModel):
    """A question as the model must write it."""

    model_config = ConfigDict(strict=True)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    quote: str


def written_fault(written: Written, passage: str, answer: str) -> Verdict | None:
    """The first fault of a question.

    Args:
        written: What the model wrote.
        passage: The text it was written on.
        answer: The answer that was given to it; empty where it was free to choose.
    """
    return (
        _quote_fault(written, passage)
        or _answer_fault(written, passage, answer)
        or _form_fault(written.question)
        or _telling_fault(written)
        or _copy_fault(written.question, passage)
        or rag_gates.asks_structure(written.question)
        or rag_gates.stands_alone(written.question)
        or _obedience_fault(written, passage)
        or rag_gates.unsupported_number(written.question, "", [evidence(passage)])
        or rag_gates.unsupported_code(written.question, [evidence(passage)])
    )


def _quote_fault(written: Written, passage: str) -> Verdict | None:
    place = rag_gates.find_quote(written.quote, passage)
    if place is None:
        return rag_gates.refused("quote_not_in_source", quote=written.quote)
    if len("".join(written.quote.split())) < rag_gates.MIN_QUOTE_CHARS:
        return rag_gates.refused("quote_too_short", quote=written.quote, limit=rag_gates.MIN_QUOTE_CHARS)
    if any(place[0] < end and start < place[1] for start, end in suspects(passage)):
        return rag_gates.refused("quote_is_an_instruction", quote=written.quote)
    return None


def _answer_fault(written: Written, passage: str, answer: str) -> Verdict | None:
    if answer and _dense(written.answer) != _dense(answer):
        return rag_gates.refused("other_answer", answer=written.answer, given=answer)
    if rag_gates.find_quote(written.answer, passage) is None:
        return rag_gates.refused("answer_not_in_passage", answer=written.answer)
    return None


def _form_fault(question: str) -> Verdict | None:
    share = hangul_share(question)
    if share < _MIN_HANGUL:
        return rag_gates.refused("question_not_korean", share=round(share, 4), limit=_MIN_HANGUL)
    return None if _ASKS.search(question) else rag_gates.refused("not_a_question", question=question)


def _telling_fault(written: Written) -> Verdict | None:
    """The answer stands in the question; one syllable ("3", "랙") stands in many words by chance."""
    answer = _dense(written.answer)
    if len(answer) > 1 and answer in _dense(written.question):
        return rag_gates.refused("question_tells_answer", answer=written.answer)
    return None


def _obedience_fault(written: Written, passage: str) -> Verdict | None:
    words = repeated(f"{written.question}\n{written.answer}", [passage])
    return rag_gates.refused("repeats_an_instruction", words=words[:10]) if words else None


def _copy_fault(question: str, passage: str) -> Verdict | None:
    asked, text = _dense(question), _dense(passage)
    match = SequenceMatcher(None, text, asked, autojunk=False).find_longest_match()
    share = match.size / max(1, len(asked))
    if share <= MAX_COPIED:
        return None
    return rag_gates.refused("question_copies_passage", copied=asked[match.b : match.b + match.size], limit=MAX_COPIED)


def _dense(text: str) -> str:
    return _MARKS.sub("", text).casefold()
