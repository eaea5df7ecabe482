"""What is compared and what is filtered of a conversation, of one turn or of many.

A free task is its instruction (the input below a blank line is material). A grounded question goes with its answer, and
so does a conversation of several turns: two that open alike may go on differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from corpora.records import Candidate, Message
from generators.curation.settings import Limits

__all__ = [
    "IMPORTED",
    "answer_text",
    "asked_text",
    "compared_answer",
    "is_conversation",
    "spoken_text",
    "turns",
    "whole_text",
]

#: Name of the generator whose candidates come from files.
IMPORTED = "imported"


def is_conversation(candidate: Candidate) -> bool:
    """Whether the user speaks more than once."""
    return sum(message.role == "user" for message in candidate.messages) > 1


def asked_text(candidate: Candidate) -> str:
    """What is compared of the user's side.

    All user turns of a conversation; a grounded or imported question whole (datasets repeat one instruction over many
    inputs on purpose); of a generated free task the instruction without its input, as Self-Instruct does.
    """
    if is_conversation(candidate):
        return "\n".join(message.content for message in candidate.messages if message.role == "user")
    if candidate.grounded or candidate.provenance.generator == IMPORTED:
        return candidate.question
    return candidate.question.strip().split("\n\n", 1)[0]


def whole_text(candidate: Candidate) -> str:
    """Everything that is said, but for the system's part."""
    return "\n".join(message.content for message in candidate.messages if message.role != "system")


def is_task(candidate: Candidate) -> bool:
    """Whether it is a generated free task: an instruction, and below a blank line perhaps its input."""
    return not (candidate.grounded or candidate.provenance.generator == IMPORTED or is_conversation(candidate))


def spoken_text(candidate: Candidate, message: Message) -> str:
    """What a turn itself says: of a free task the instruction, since its input is material in any style."""
    if message.role == "user" and is_task(candidate):
        return message.content.split("\n\n", 1)[0]
    return message.content


def answer_text(candidate: Candidate) -> str:
    """The assistant's side: the answer, or all of its turns."""
    if is_conversation(candidate):
        return "\n".join(message.content for message in candidate.messages if message.role == "assistant")
    return candidate.answer


def compared_answer(candidate: Candidate) -> str | None:
    """The assistant's side where near-duplicates must share it too; None where they go by the instruction alone."""
    return answer_text(candidate) if candidate.grounded or is_conversation(candidate) else None


def turns(candidate: Candidate, limits: Limits) -> Iterator[tuple[Candidate, Limits]]:
    """The question-answer pairs of a conversation, each as a candidate of its own with the limits that fit it.

    In the middle of a conversation people say "네." and "왜요?": only the first turn must be a question by length.
    """
    if not is_conversation(candidate):
        yield candidate, limits
        return
    later = replace(limits, min_question_chars=1, min_task_chars=1, min_answer_chars=1)
    user, number = None, 0
    for message in candidate.messages:
        if message.role == "user":
            user = message
        elif message.role == "assistant" and user is not None:
            yield replace(candidate, messages=(user, message)), later if number else limits
            user, number = None, number + 1
