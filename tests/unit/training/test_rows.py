"""Rows in flat arrays read like a list of rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.rows import IGNORED, Counted, EncodedRow, EncodedRows, EncodingReport


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


COUNTED = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 3), st.integers(0, 1), st.integers(0, 2), st.booleans()), min_size=2
)


@given(COUNTED)
def test_reports_of_two_sides_add_up_to_the_files(drawn: list[tuple[int, int, int, int, bool]]) -> None:
    """Whatever is held out: counts of both sides are the file's, and rows that were dropped stay on the one side."""
    rows = EncodedRows()
    for number, (tokens, cut, unstopped, unknown, _) in enumerate(drawn, start=1):
        odd = (cut, unstopped, unknown)
        rows.append([7] * tokens, b"\1" * tokens, truncated=cut > 0, line=number, odd=odd)
    counted = [rows.counted(place) for place in range(len(rows))]
    whole = EncodingReport.of(counted)
    whole.rows, whole.dropped, whole.dropped_untrained, whole.dropped_lines = len(rows) + 1, 1, 1, [999]
    held = [place for place, each in enumerate(drawn) if each[-1]]
    left = [place for place, each in enumerate(drawn) if not each[-1]]
    taken = EncodingReport.of(counted[place] for place in held)
    rest = whole.without([counted[place] for place in held], [counted[place] for place in left])
    for name in ("rows", "kept", "dropped", "truncated", "unstopped", "tokens", "tokens_cut", "trained_tokens"):
        assert getattr(taken, name) + getattr(rest, name) == getattr(whole, name)
    assert (taken.dropped, rest.dropped, rest.dropped_lines) == (0, 1, [999])
    assert (taken.rows, rest.rows) == (len(held), len(left) + 1)
    assert sorted([*taken.truncated_lines, *rest.truncated_lines]) == whole.truncated_lines
    assert max(taken.longest, rest.longest) == whole.longest
    # Rows that were taken out carry their line and their counts along.
    part = rows.part(held)
    assert [part.counted(place) for place in range(len(part))] == [counted[place] for place in held]


def test_a_row_counts_what_was_cut_from_it() -> None:
    rows = EncodedRows()
    rows.append([1, 2, 3], b"\0\1\1", truncated=True, line=4, odd=(5, 1, 2))
    assert rows.counted(0) == Counted(line=4, tokens=3, trained=2, longest=8, cut=5, unstopped=1, unknown=2)
