"""Rows as a person can check them: what the model reads, control tokens visible, trained tokens marked.

Made from the tokens themselves, so that what is shown is what is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from transformers import PreTrainedTokenizerBase

from training.rows import IGNORED, EncodedRow, EncodedRows

__all__ = ["CLOSE", "OPEN", "Sample", "marked", "samples_of"]

#: Stand round trained tokens.
OPEN, CLOSE = "⟦", "⟧"
#: Characters of one stretch that are shown; of a longer one, both ends.
SHOWN = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One row to look at."""

    line: int  #: Of its file, 0 where not known.
    text: str  #: What the model reads; ``⟦`` and ``⟧`` stand round what it is trained on.
    tokens: int
    trained_tokens: int
    truncated: bool


def samples_of(rows: EncodedRows, tokenizer: PreTrainedTokenizerBase, count: int = 3) -> Iterator[Sample]:
    """The first row, the last, and others evenly between, at most ``count``."""
    most = min(count, len(rows))
    places = {round(number * (len(rows) - 1) / max(1, most - 1)) for number in range(most)}
    for place in sorted(places):
        row = rows[place]
        yield Sample(
            line=rows.line(place),
            text=marked(row, tokenizer),
            tokens=len(row.input_ids),
            trained_tokens=sum(label != IGNORED for label in row.labels),
            truncated=row.truncated,
        )


def marked(row: EncodedRow, tokenizer: PreTrainedTokenizerBase) -> str:
    """The row as text, decoded stretch by stretch."""
    parts = []
    for trained, stretch in groupby(zip(row.input_ids, row.labels, strict=True), key=lambda pair: pair[1] != IGNORED):
        text = str(tokenizer.decode([token for token, _ in stretch], skip_special_tokens=False))
        if len(text) > SHOWN:
            left = len(text) - SHOWN
            text = f"{text[: SHOWN // 2]} … ({left:,}자 생략) … {text[-SHOWN // 2 :]}"
        parts.append(f"{OPEN}{text}{CLOSE}" if trained else text)
    return "".join(parts)
