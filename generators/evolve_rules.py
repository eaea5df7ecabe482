"""What eliminates an evolved task or its answer, after WizardLM (Xu et al., 2023, arXiv 2304.12244), for Korean.

The paper drops an evolution that (1) gains nothing over its parent, by a model's judgement, (2) draws an answer with
"sorry" and fewer than 80 words, (3) draws one of punctuation and stop words only, (4) copies words of the evolving
prompt. The judgement is ``evolve``'s request; the rest is here. Pure functions of texts. Changed for Korean: words are
counted as 어절; an apology refuses only beside an inability, or where the task has not asked for an apology.
"""

from __future__ import annotations

import re
from typing import Any

from corpora.korean.analyse import content_morphemes, nouns
from corpora.records import Verdict
from generators.gate_verdicts import refused as ungrounded
from generators.grounding_injection import evidence, repeated
from generators.negation_gate import turned_round
from generators.rag_gates import unsupported_code, unsupported_number

__all__ = [
    "answer_fault",
    "context_answer_fault",
    "context_task_fault",
    "input_fault",
    "instruction_fault",
    "refused",
]

#: Words below which an apology is a refusal: the paper's number.
_SHORT_WORDS = 80
#: Share of the parent's nouns that a complicated input must still hold.
_KEPT_NOUNS = 0.7
_COPIED = re.compile(
    r"(?:주어진|원래|기존|고쳐 ?쓴|다시 ?쓴|새로 ?쓴|새로 ?만든|재작성(?:된|한)|변형(?:된|한)|진화(?:된|한)) ?"
    r"(?:프롬프트|과제|지시문|명령문)"
    r"|(?:given|rewritten|created|evolved) (?:prompt|instruction|task)"
    r"|</?(?:과제|입력|자료)>",
    re.IGNORECASE,
)
_APOLOGY = re.compile(r"죄송|미안|유감|안타깝|\bsorry\b|\bapologi[sz]e", re.IGNORECASE)
_UNABLE = re.compile(
    r"(?:답|도와|도움|제공|알려|말씀|설명|안내|처리|수행|작성|판단|확인|이해)[가-힣]* ?(?:[가-힣]+ )?"
    r"(?:수(?:가|는)? ?없|못|어렵|어려[운울워]|불가|곤란)"
    r"|\bI (?:cannot|can't|am unable)",
    re.IGNORECASE,
)
_ASKS_APOLOGY = re.compile(r"사과|죄송|미안|유감|양해|위로|거절|apolog|sorry", re.IGNORECASE)
_MARKS = re.compile(r"[\W_]+")


def refused(reason: str, score: float | None = None, **evidence: Any) -> Verdict:
    """A verdict of the generator's own gates."""
    return Verdict(stage="filter", reason=reason, score=score, evidence=evidence)


def instruction_fault(evolved: str, parent: str, max_added_words: int | None) -> Verdict | None:
    """What is wrong with an evolved instruction beside its parent.

    Args:
        evolved: the new instruction.
        parent: what it was made of, input included.
        max_added_words: 어절 by which it may be longer than its parent's instruction; None for a new task, of which the
            parent says nothing.
    """
    instruction = parent.split("\n\n", 1)[0]
    known = {match.group(0).lower() for match in _COPIED.finditer(parent)}
    copied = next((m.group(0) for m in _COPIED.finditer(evolved) if m.group(0).lower() not in known), None)
    if copied is not None:
        return refused("copies_prompt", phrase=copied)
    if _MARKS.sub("", evolved).lower() == _MARKS.sub("", instruction).lower():
        return refused("same_as_parent")
    added = len(evolved.split()) - len(instruction.split())
    if max_added_words is not None and added > max_added_words:
        return refused("instruction_too_long", added, limit=max_added_words)
    return None


def input_fault(evolved: str, parent: str) -> Verdict | None:
    """An input that was to grow and is missing, has not changed, or has lost what its parent's held."""
    if not evolved:
        return refused("input_missing")
    if parent and _MARKS.sub("", evolved) == _MARKS.sub("", parent):
        return refused("input_unchanged")
    wanted = nouns(parent)
    dense = "".join(evolved.lower().split())
    lost = [noun for noun in wanted if noun not in dense]
    if wanted and 1 - len(lost) / len(wanted) < _KEPT_NOUNS:
        return refused("input_lost", round(1 - len(lost) / len(wanted), 4), limit=_KEPT_NOUNS, lost=lost[:10])
    return None


def answer_fault(answer: str, instruction: str) -> Verdict | None:
    """An answer that refuses, or says nothing."""
    if not content_morphemes(answer):
        return refused("answer_without_content", answer=answer[:40])
    words = len(answer.split())
    apology = _APOLOGY.search(answer)
    if apology is None or words >= _SHORT_WORDS:
        return None
    if _UNABLE.search(answer) is None and _ASKS_APOLOGY.search(instruction):
        return None
    return refused("answer_refuses", words, limit=_SHORT_WORDS, phrase=apology.group(0))


def context_task_fault(task: str, context: str) -> Verdict | None:
    """A task evolved beside a passage, with words that only the passage's orders to a model have."""
    words = repeated(task, [context]) if context else []
    return ungrounded("repeats_an_instruction", words=words[:10]) if words else None


def context_answer_fault(answer: str, task: str, context: str) -> Verdict | None:
    """An answer beside a passage that obeys its orders, or has numbers, codes or denials that neither text has.

    Args:
        answer: What the model answered.
        task: The evolved task with its input, whose numbers and codes may be repeated.
        context: The system turn; empty where the task rests on nothing.
    """
    if not context:
        return None
    known = evidence(context)
    return (
        context_task_fault(answer, context)
        or unsupported_number(answer, task, [known])
        or unsupported_code(answer, [known, task])
        or turned_round(answer, [known])
    )
