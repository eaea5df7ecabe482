"""Imported rows as candidates: passages, variants, sides, and what is counted because it has no place."""

from __future__ import annotations

from collections import Counter

import pytest

from corpora.importers import BadRow, ImportedRow
from corpora.records import Message
from generators.imported import ImportOptions, imported_rows

PASSAGE = "웨이브를 릴리스하면 피킹 오더가 생성된다."
PAIR = (Message(role="user", content="피킹 오더는 언제 생기나요?"), Message(role="assistant", content="릴리스하면요."))
GUIDE = Message(role="system", content="창고 상담원입니다.")
GROUNDED = ImportedRow(messages=PAIR, grounded=True, context=PASSAGE, group_id="글", metadata={"title": "피킹"}, line=3)


def test_a_passage_becomes_the_system_turn() -> None:
    (row,) = imported_rows([GROUNDED], "a.jsonl")
    first, *others = row.candidate.messages
    assert first == Message(role="system", content=f"다음 지문에 근거하여 답하세요.\n\n[1] 피킹\n{PASSAGE}")
    assert tuple(others) == PAIR
    assert row.candidate.grounded
    assert row.candidate.question == PAIR[0].content


def test_a_passage_stands_behind_what_the_system_says_already() -> None:
    (row,) = imported_rows([ImportedRow(messages=(GUIDE, *PAIR), grounded=True, context=PASSAGE)], "a.jsonl")
    first, *others = row.candidate.messages
    assert first.content.startswith(f"{GUIDE.content}\n\n다음 지문에")
    assert first.content.endswith(f"[1] 지문\n{PASSAGE}")
    assert tuple(others) == PAIR


def test_a_passage_that_is_dropped_is_counted() -> None:
    told: Counter[str] = Counter()
    rows = [GROUNDED, ImportedRow(messages=PAIR)]
    found = list(imported_rows(rows, "a.jsonl", ImportOptions(context="drop"), told))
    assert [row.candidate.messages for row in found] == [PAIR, PAIR]
    assert [row.candidate.grounded for row in found] == [True, False]
    assert told == {"context_dropped": 1}


def test_what_has_no_place_is_counted() -> None:
    told: Counter[str] = Counter()
    untrained = (PAIR[0], Message(role="assistant", content="모릅니다.", weight=0))
    rows: list[ImportedRow | BadRow] = [
        ImportedRow(messages=PAIR, metadata={"other_answers": ["릴리스 뒤"]}, split="test"),
        ImportedRow(messages=untrained),
        BadRow(line=9, reason="broken_json", message="?", excerpt="{"),
    ]
    found = list(imported_rows(rows, "a.jsonl", told=told))
    assert told == {"other_answers": 1, "own_test": 1, "weights": 1}
    assert found[1].candidate.messages == untrained


def test_variants_and_groups_are_two_things() -> None:
    variant = ImportedRow(messages=PAIR, group_id="문서", variant_id="v")
    first, second = imported_rows([variant, GROUNDED], "a.jsonl")
    (elsewhere,) = imported_rows([variant], "b.jsonl")
    assert first.candidate.group_id is not None
    assert second.candidate.group_id is None
    groups = {row.candidate.provenance.group for row in (first, second, elsewhere)}
    assert len(groups) == 3
    assert None not in groups
    # Of two datasets that call theirs alike, each has its own.
    assert elsewhere.candidate.group_id not in (None, first.candidate.group_id)
    # Without a group of their own variants stay together all the same.
    alone = [ImportedRow(messages=PAIR, variant_id="v")] * 2
    one, two = imported_rows(alone, "a.jsonl")
    assert one.candidate.provenance.group == two.candidate.provenance.group is not None


@pytest.mark.parametrize(("own", "sides"), [(True, ["test", "train", "train"]), (False, ["train"] * 3)])
def test_a_dataset_keeps_its_own_sides_unless_told_otherwise(own: bool, sides: list[str]) -> None:
    rows = [ImportedRow(messages=PAIR, split=split) for split in ("test", "train", None)]
    assert [row.split for row in imported_rows(rows, "a", ImportOptions(own_split=own))] == sides


def test_a_bad_row_says_its_file_its_line_and_its_place() -> None:
    bad = BadRow(line=7, reason="no_answer", message="there is none.", excerpt="{", where="qas[2]", file="나/b.json")
    (row,) = imported_rows([bad], "나")
    assert row.candidate.malformed == "no_answer: 나/b.json, line 7, qas[2]: there is none."
