"""The rows of an evaluation: which lines of a file are asked, and what each asks and expects.

The last answer of a conversation is the reference, everything before it the prompt. Where there are more lines than
wanted, a seeded draw is taken and kept in the order of the file. Knows the messages schema and no store.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from corpora.errors import InvalidInputError
from corpora.messages import training_rows

__all__ = ["EvaluationRow", "draw_rows", "load_rows", "save_rows"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRow:
    """One question with the answer that is held to be right."""

    row: int  #: Its line in the file, from 1.
    messages: tuple[Mapping[str, Any], ...]  #: The conversation, the reference answer last.

    @property
    def prompt(self) -> tuple[Mapping[str, Any], ...]:
        """What the models are given."""
        return self.messages[:-1]

    @property
    def question(self) -> str:
        """The last user turn."""
        return next((str(m["content"]) for m in reversed(self.prompt) if m["role"] == "user"), "")

    @property
    def reference(self) -> str:
        """The answer that is held to be right."""
        return str(self.messages[-1]["content"])

    @property
    def given(self) -> tuple[str, ...]:
        """Every text that the prompt holds: passages in the system turn, earlier turns, the question."""
        return tuple(str(message["content"]) for message in self.prompt)


def draw_rows(
    opened: Callable[[], AbstractContextManager[BinaryIO]], limit: int | None, seed: int, param: str
) -> tuple[list[EvaluationRow], int]:
    """The rows to ask, and how many the file holds.

    Args:
        opened: Opens the file; called twice, so that no file is held in memory.
        limit: Most rows; None for all of them.
        seed: Of the draw.
        param: The request's field that named the file, for errors.

    Raises:
        InvalidTrainingFileError: a line breaks the messages schema; the message names it.
        InvalidInputError: there is no row (``no_rows``).
    """
    with opened() as lines:
        total = sum(1 for _ in training_rows(lines, param=param))
    if total == 0:
        raise InvalidInputError("The file holds no row to evaluate on.", param=param, code="no_rows")
    wanted = set(range(total))
    if limit is not None and limit < total:
        wanted = set(random.Random(seed).sample(range(total), limit))  # noqa: S311 -- a draw that can be repeated
    with opened() as lines:
        rows = [
            EvaluationRow(row=number, messages=tuple(messages))
            for place, (number, messages) in enumerate(training_rows(lines, param=param))
            if place in wanted
        ]
    return rows, total


def save_rows(rows: Iterable[EvaluationRow], path: Path) -> None:
    """Write rows as the trainer's child reads them, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps({"row": row.row, "messages": list(row.messages)}, ensure_ascii=False) + "\n")
    temporary.replace(path)


def load_rows(lines: Sequence[str]) -> list[EvaluationRow]:
    """Rows that ``save_rows`` wrote."""
    found = (json.loads(line) for line in lines)
    return [EvaluationRow(row=one["row"], messages=tuple(one["messages"])) for one in found]
