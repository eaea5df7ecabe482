"""Questions that lean on a text nobody sees are refused; questions that name a document as a thing are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generators.rag_gates import asks_structure, stands_alone

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "standalone_questions.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("row", ROWS, ids=[row["question"] for row in ROWS])
def test_the_decision_is_the_one_on_file(row: dict[str, str]) -> None:
    fault = asks_structure(row["question"]) or stands_alone(row["question"])
    assert (fault is not None) == (row["expected"] == "refuse")
    if fault is not None:
        assert fault.evidence["pattern"] in row["question"]


def test_there_are_sixty_cases_and_enough_of_each_side() -> None:
    assert len({row["question"] for row in ROWS}) == len(ROWS) >= 60
    assert min(sum(row["expected"] == side for row in ROWS) for side in ("pass", "refuse")) >= 20
