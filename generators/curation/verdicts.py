"""What filters and flags are: the shape of both, and the verdict a filter gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from corpora.records import Candidate, Verdict
from generators.curation.settings import Limits

__all__ = ["Filter", "Flag", "parts", "rejected"]

#: A verdict with its evidence where the candidate is refused, None where it passes.
Filter = Callable[[Candidate, Limits], Verdict | None]
#: The evidence of something worth knowing about a candidate that is kept all the same, or None.
Flag = Callable[[Candidate, Limits], dict[str, Any] | None]


def rejected(reason: str, score: float | None = None, **evidence: object) -> Verdict:
    """A filter's verdict."""
    return Verdict(stage="filter", reason=reason, score=score, evidence=evidence)


def parts(candidate: Candidate) -> Iterator[tuple[str, str]]:
    """The question and the answer, each with the name that reasons give it."""
    yield "question", candidate.question
    yield "answer", candidate.answer
