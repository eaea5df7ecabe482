"""Rows in flat arrays read like a list of rows."""

from __future__ import annotations

import pytest

from training.rows import IGNORED, EncodedRow, EncodedRows


@pytest.fixture
def rows() -> EncodedRows:
    made = EncodedRows()
    made.append([5, 6, 7], b"\0\1\1", truncated=False, line=2)
    made.append([8], b"\1", truncated=True, line=9)
    made.append([1, 2, 3, 4], b"\1\0\1\0", truncated=False)
    return made


def test_they_read_like_a_list(rows: EncodedRows) -> None:
    first = EncodedRow([5, 6, 7], [IGNORED, 6, 7])
    second = EncodedRow([8], [8], truncated=True)
    third = EncodedRow([1, 2, 3, 4], [1, IGNORED, 3, IGNORED])
    assert list(rows) == [first, second, third]
    assert rows[-1] == third
    assert rows[1:] == [second, third]
    assert rows[::-1] == [third, second, first]
    assert len(rows) == 3
    assert rows.lengths() == [3, 1, 4]
    assert [rows.line(place) for place in range(3)] == [2, 9, 0]
    for place in (3, -4):
        with pytest.raises(IndexError):
            rows[place]


def test_the_last_tokens_of_answers(rows: EncodedRows) -> None:
    """One a stretch; two rows of which one ends and the next begins trained are two stretches."""
    assert rows.last_trained() == [7, 8, 1, 3]


def test_a_mark_a_token(rows: EncodedRows) -> None:
    with pytest.raises(ValueError, match="one mark"):
        rows.append([1, 2], b"\1", truncated=False)


def test_five_bytes_a_token() -> None:
    rows = EncodedRows()
    for _ in range(100):
        rows.append(list(range(1000)), bytes(1000), truncated=False)
    assert rows.nbytes == 100 * (1000 * 5 + 17)


def test_the_dataset_holds_the_same(rows: EncodedRows) -> None:
    made = rows.to_dataset()
    assert made["input_ids"][:] == [row.input_ids for row in rows]
    assert made["labels"][:] == [row.labels for row in rows]
    assert len(EncodedRows().to_dataset()) == 0
