"""Filters: small pure functions from a candidate to a verdict with reason and evidence, or None when it passes.

``FILTERS`` names them in the order in which they are asked, cheap first. They know no model and no other candidate.
"""

from __future__ import annotations

from collections.abc import Callable

from corpora.korean.script import broken_characters, foreign_runs, hangul_share, repetition_share, special_share
from corpora.records import Candidate, Verdict
from generators.curation.settings import Limits

__all__ = ["FILTERS", "FILTERS_VERSION", "Filter", "rejected"]

#: Bumped when a filter's decision changes; recorded with every sample.
FILTERS_VERSION = 1
Filter = Callable[[Candidate, Limits], Verdict | None]


def rejected(reason: str, score: float | None = None, **evidence: object) -> Verdict:
    """A filter's verdict."""
    return Verdict(stage="filter", reason=reason, score=score, evidence=evidence)


def length(candidate: Candidate, limits: Limits) -> Verdict | None:
    """Question and answer within their lengths in characters; a free task's answer may be a single label."""
    question, answer = len(candidate.question.strip()), len(candidate.answer.strip())
    longest = limits.max_question_chars if candidate.grounded else limits.max_task_chars
    shortest = limits.min_answer_chars if candidate.grounded else 1
    if question < limits.min_question_chars:
        return rejected("question_too_short", question, limit=limits.min_question_chars)
    if question > longest:
        return rejected("question_too_long", question, limit=longest)
    if answer < shortest:
        return rejected("answer_too_short", answer, limit=shortest)
    if answer > limits.max_answer_chars:
        return rejected("answer_too_long", answer, limit=limits.max_answer_chars)
    return None


def not_an_echo(candidate: Candidate, _limits: Limits) -> Verdict | None:
    """The answer says something that the question does not."""
    if " ".join(candidate.question.split()) == " ".join(candidate.answer.split()):
        return rejected("answer_repeats_question", 1.0)
    return None


def whole_characters(candidate: Candidate, _limits: Limits) -> Verdict | None:
    """No replacement characters, lone jamo or control characters."""
    found = broken_characters(f"{candidate.question}\n{candidate.answer}")
    if found:
        return rejected("broken_characters", len(found), characters=[f"U+{ord(c):04X}" for c in found[:10]])
    return None


def script(candidate: Candidate, limits: Limits) -> Verdict | None:
    """Question and answer are Korean: Hangul among letters, no runs of Hanja or kana."""
    for part, text in (("question", candidate.question), ("answer", candidate.answer)):
        share = hangul_share(text)
        if share < limits.min_hangul_share:
            return rejected(f"{part}_not_korean", round(share, 4), limit=limits.min_hangul_share)
        runs = foreign_runs(text)
        if runs:
            return rejected(f"{part}_foreign_script", len(runs), runs=runs[:10])
    return None


def special_characters(candidate: Candidate, limits: Limits) -> Verdict | None:
    """Few characters that are neither letters, digits nor ordinary punctuation."""
    for part, text, limit in (
        ("question", candidate.question, limits.max_question_special),
        ("answer", candidate.answer, limits.max_answer_special),
    ):
        share = special_share(text)
        if share > limit:
            return rejected(f"{part}_special_characters", round(share, 4), limit=limit)
    return None


def repetition(candidate: Candidate, limits: Limits) -> Verdict | None:
    """The answer does not repeat itself."""
    share = repetition_share(candidate.answer)
    if share > limits.max_repetition:
        return rejected("answer_repetitive", round(share, 4), limit=limits.max_repetition)
    return None


FILTERS: dict[str, Filter] = {
    "length": length,
    "not_an_echo": not_an_echo,
    "whole_characters": whole_characters,
    "script": script,
    "special_characters": special_characters,
    "repetition": repetition,
}
