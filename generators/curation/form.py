"""Filters of form: length, script, characters, repetition. What a text looks like, not what it says."""

from __future__ import annotations

import re

from corpora.korean.script import (
    broken_characters,
    character_runs,
    foreign_runs,
    hangul_share,
    repeated_lines_share,
    repetition_share,
    special_share,
)
from corpora.korean.sentence import whole_sentence
from corpora.records import Candidate, Verdict
from generators.curation.settings import Limits
from generators.curation.verdicts import parts, rejected

__all__ = [
    "character_repetition",
    "length",
    "line_repetition",
    "not_an_echo",
    "repetition",
    "script",
    "special_characters",
    "whole_characters",
    "wordless",
]

_MARKS = re.compile(r"[\W_]+")
_LETTER = re.compile(r"[^\W_]")


def length(candidate: Candidate, limits: Limits) -> Verdict | None:
    """Question and answer within their lengths in characters; a free task's answer may be a single label.

    A grounded answer may be shorter where it is a whole sentence: "점검은 3명이 합니다." says everything.
    """
    question, answer = len(candidate.question.strip()), len(candidate.answer.strip())
    longest = limits.max_question_chars if candidate.grounded else limits.max_task_chars
    least = limits.min_question_chars if candidate.grounded else limits.min_task_chars
    shortest = limits.min_answer_chars if candidate.grounded else 1
    if question < least:
        return rejected("question_too_short", question, limit=least)
    if question > longest:
        return rejected("question_too_long", question, limit=longest)
    if answer < shortest and not (candidate.grounded and whole_sentence(candidate.answer)):
        return rejected("answer_too_short", answer, limit=shortest)
    if answer > limits.max_answer_chars:
        return rejected("answer_too_long", answer, limit=limits.max_answer_chars)
    return None


def wordless(candidate: Candidate, _limits: Limits) -> Verdict | None:
    """Question and answer hold a letter or a digit: marks alone ask and say nothing."""
    for part, text in parts(candidate):
        if not _LETTER.search(text):
            return rejected(f"{part}_wordless", 0.0)
    return None


def not_an_echo(candidate: Candidate, _limits: Limits) -> Verdict | None:
    """The answer says something that the question does not: blanks, marks and case are no difference."""
    first, other = _LETTER.search(candidate.question), _LETTER.search(candidate.answer)
    if first and other and first.group(0).casefold() != other.group(0).casefold():
        return None
    question, answer = (_MARKS.sub("", text).casefold() for text in (candidate.question, candidate.answer))
    same = question == answer if question else candidate.question.split() == candidate.answer.split()
    return rejected("answer_repeats_question", 1.0) if same else None


def whole_characters(candidate: Candidate, _limits: Limits) -> Verdict | None:
    """No replacement characters, lone jamo or control characters."""
    found = broken_characters(f"{candidate.question}\n{candidate.answer}")
    if found:
        return rejected("broken_characters", len(found), characters=[f"U+{ord(c):04X}" for c in found[:10]])
    return None


def script(candidate: Candidate, limits: Limits) -> Verdict | None:
    """Question and answer are Korean: Hangul among letters, no runs of foreign script (재고(在庫) is a gloss).

    Of a free task the instruction counts, not the text it brings, and an answer as short as a label or a code may be
    in any letters.
    """
    for part, text in parts(candidate):
        asked = text.split("\n\n", 1)[0] if part == "question" and not candidate.grounded else text
        label = part == "answer" and not candidate.grounded and len(text) < limits.min_answer_chars and text.isascii()
        share = hangul_share(asked)
        if share < limits.min_hangul_share and not label:
            return rejected(f"{part}_not_korean", round(share, 4), limit=limits.min_hangul_share)
        runs = foreign_runs(asked)
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
    """The answer does not repeat its phrases."""
    share = repetition_share(candidate.answer)
    if share > limits.max_repetition:
        return rejected("answer_repetitive", round(share, 4), limit=limits.max_repetition)
    return None


def line_repetition(candidate: Candidate, limits: Limits) -> Verdict | None:
    """The answer does not repeat its lines."""
    share = repeated_lines_share(candidate.answer)
    if share > limits.max_repeated_lines:
        return rejected("answer_repeats_lines", round(share, 4), limit=limits.max_repeated_lines)
    return None


def character_repetition(candidate: Candidate, limits: Limits) -> Verdict | None:
    """No letter or mark stands again and again (ㅋㅋㅋㅋㅋㅋ, !!!!!!), no piece is looped (재고재고재고재고)."""
    for part, text in parts(candidate):
        runs = character_runs(text, limits.max_character_run)
        if runs:
            longest = max(map(len, runs))
            return rejected(
                f"{part}_repeats_characters",
                longest,
                runs=[run[:40] for run in runs[:10]],
                limit=limits.max_character_run,
            )
    return None
