"""Preference files: both spellings are read, and what is no pair is refused by its line."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest

from corpora.errors import InvalidTrainingFileError
from corpora.messages import TrainingLineError
from corpora.preferences import parse_preference_line, preference_rows, validate_preference_file

ASKED = {"messages": [{"role": "user", "content": "재고 어디서 봐?"}]}
BETTER = [{"role": "assistant", "content": "재고 조회 화면에서 보실 수 있습니다."}]
WORSE = [{"role": "assistant", "content": "몰라."}]
GOOD = {"input": ASKED, "preferred_output": BETTER, "non_preferred_output": WORSE}


def line(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def test_both_spellings() -> None:
    older = {"input": ASKED, "preferred_completion": BETTER, "non_preferred_completion": WORSE, "id": 3}
    for row in (GOOD, older):
        pair = parse_preference_line(json.dumps(row), 1)
        assert (pair.messages, pair.preferred, pair.non_preferred) == (
            ASKED["messages"],
            BETTER[0]["content"],
            WORSE[0]["content"],
        )


@pytest.mark.parametrize(
    ("change", "said", "fault"),
    [
        ({"input": None}, 'an object "input"', "missing_messages_list"),
        ({"input": {"messages": []}}, "at least one message", "missing_messages_list"),
        ({"input": {"messages": [*ASKED["messages"], *BETTER]}}, "input.messages[2] is of 'assistant'", "role_order"),
        ({"input": {"messages": [{"role": "user", "content": "?", "weight": 1}]}}, "has a weight", "invalid_weight"),
        ({"preferred_output": []}, "a list of one message", "missing_output"),
        ({"preferred_output": BETTER * 2}, "a list of one message", "missing_output"),
        ({"preferred_output": ASKED["messages"]}, "must be of 'assistant'", "unrecognized_role"),
        ({"preferred_output": [{"role": "assistant", "content": " "}]}, "has no content", "missing_content"),
        (
            {"non_preferred_output": [BETTER[0] | {"content": f" {BETTER[0]['content']}\n"}]},
            "to itself",
            "same_outputs",
        ),
        ({"non_preferred_output": [WORSE[0] | {"weight": 0}]}, "a pair has none", "invalid_weight"),
        ({"preferred_completion": BETTER}, "has both of", "missing_output"),
    ],
)
def test_a_wrong_line_is_named(change: dict[str, Any], said: str, fault: str) -> None:
    rows = [line(GOOD)] * 11 + [line(GOOD | change)]
    with pytest.raises(TrainingLineError) as caught:
        validate_preference_file(rows, param="validation_file")
    assert caught.value.message.startswith("line 12: ")
    assert said in caught.value.message
    assert (caught.value.line, caught.value.fault, caught.value.param) == (12, fault, "validation_file")


def test_missing_outputs_and_files_of_the_other_kind() -> None:
    with pytest.raises(TrainingLineError, match="has neither of 'preferred_output'"):
        parse_preference_line(json.dumps({"input": ASKED}), 1)
    with pytest.raises(TrainingLineError, match='an object "input"') as caught:
        parse_preference_line(json.dumps({"messages": [*ASKED["messages"], *BETTER]}), 1)
    assert 'the method "supervised"' in caught.value.hint


def test_ten_examples() -> None:
    assert validate_preference_file([line(GOOD), b"\n"] * 10).examples == 10
    with pytest.raises(InvalidTrainingFileError) as caught:
        validate_preference_file([line(GOOD)] * 9)
    assert caught.value.code == "invalid_n_examples"
    assert [number for number, _ in preference_rows([b"\n", line(GOOD), line(GOOD)])] == [2, 3]


def test_pairs_are_read_in_nfc_and_it_is_told() -> None:
    apart = json.loads(unicodedata.normalize("NFD", json.dumps(GOOD, ensure_ascii=False)))
    assert apart != GOOD
    assert parse_preference_line(line(apart).decode(), 1) == replace(
        parse_preference_line(line(GOOD).decode(), 1), decomposed=True
    )
    assert "1 rows were not in NFC" in validate_preference_file([line(GOOD)] * 9 + [line(apart)]).warnings[0]
    assert validate_preference_file([line(GOOD)] * 10).warnings == ()


def test_inputs_that_offer_tools_are_told() -> None:
    offered = GOOD | {"input": ASKED | {"tools": [{"type": "function"}]}}
    (told,) = validate_preference_file([line(GOOD)] * 9 + [line(offered)]).warnings
    assert told.endswith("Lines 10.")
