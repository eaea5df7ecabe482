"""Answers that are wrong on purpose, made of right ones from a seed: what a judge must rank below the true answer.

Three kinds: ``shuffled`` is the right answer to another question, ``truncated`` breaks off in the middle,
``wrong_number`` has one number changed. A kind that a row does not allow (no number, too short, no other answer) is
left out for it. Pure functions; knows no model.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from corpora.korean.quantities import quantities

__all__ = ["BAD_KINDS", "BadAnswer", "BadKind", "bad_answers"]

BadKind = Literal["shuffled", "truncated", "wrong_number"]
BAD_KINDS: tuple[BadKind, ...] = get_args(BadKind)
#: Characters that an answer needs, so that half of it is clearly half of an answer.
_MIN_TRUNCATED = 20
_DIGITS = re.compile(r"\d+")
#: Numbers of an enumeration are layout: another one there makes no answer wrong.
_LIST_NUMBER = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class BadAnswer:
    """A wrong answer."""

    row: int  #: Place of the right one among the answers.
    kind: BadKind  #: What is wrong with it.
    text: str  #: The answer.


def bad_answers(answers: Sequence[str], seed: int, rows: int) -> list[BadAnswer]:
    """One answer of each kind, where it can be made, for a seeded draw of ``rows`` answers."""
    random_ = random.Random(seed)  # noqa: S311 -- a draw that can be repeated
    drawn = sorted(random_.sample(range(len(answers)), min(rows, len(answers))))
    found = []
    for row in drawn:
        made: dict[BadKind, str | None] = {
            "shuffled": _other(answers, row, random_),
            "truncated": _truncated(answers[row]),
            "wrong_number": _wrong_number(answers[row], random_),
        }
        found += [BadAnswer(row=row, kind=kind, text=text) for kind, text in made.items() if text is not None]
    return found


def _other(answers: Sequence[str], row: int, random_: random.Random) -> str | None:
    others = [answer for answer in answers if answer != answers[row]]
    return random_.choice(others) if others else None


def _truncated(answer: str) -> str | None:
    """The first two fifths, broken off inside a word or behind one, never at the end of a sentence."""
    if len(answer) < _MIN_TRUNCATED:
        return None
    return answer[: len(answer) * 2 // 5].rstrip(" .!?\n")


def _wrong_number(answer: str, random_: random.Random) -> str | None:
    """One number of the answer changed, digits of it only: its unit stays."""
    plain = unicodedata.normalize("NFKC", answer)
    if len(plain) != len(answer):
        # Places of numbers are those of the compatibility form; where it has another length they would be others.
        return None
    firm = [one for one in quantities(answer) if one.firm]
    numbers = [
        match
        for match in _DIGITS.finditer(plain)
        if any(one.start <= match.start() < one.end for one in firm)
        and not any(mark.start() <= match.start() < mark.end() for mark in _LIST_NUMBER.finditer(plain))
    ]
    if not numbers:
        return None
    chosen = random_.choice(numbers)
    value = int(chosen.group())
    # At least a third more, so that no rounding makes it right again.
    wrong = value + max(2, value // 3 + random_.randrange(1, 4))
    return f"{answer[: chosen.start()]}{wrong}{answer[chosen.end() :]}"
