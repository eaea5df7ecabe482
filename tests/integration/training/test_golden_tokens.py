"""The tokens of one conversation by every template, kept in files: what changes them changes what a model learns.

``python -m tests.integration.training.test_golden_tokens`` writes the files anew; read what changed before
keeping it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.small_tokenizers import CHATML, INST, KINDS
from training.encoding import IGNORED, encode_row
from training.recipes import RECIPES
from training.samples import marked
from training.templates import chat_template, load_template

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "tokens"
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "아래 문서로 답합니다.\n[문서 1] 피킹은 로케이션 순서로 합니다."},
    {"role": "user", "content": "피킹이 뭐야?"},
    {"role": "assistant", "content": "잘 모르겠습니다.", "weight": 0},
    {"role": "user", "content": "다시 알려 줘"},
    {"role": "assistant", "content": "상품을 꺼내 모으는 일입니다.\n- 로케이션 순서로 합니다."},
]
TEMPLATES = {
    "eeve": load_template("eeve.jinja"),
    "demo": load_template("demo.jinja"),
    "polyglot-ko": load_template("polyglot-ko.jinja"),
    "polyglot-ko-stop-phrase": chat_template(
        dataclasses.replace(RECIPES["polyglot-ko-1.3b"], stop_phrase="(답변 종료)"), None
    ),
    "gemma": load_template("gemma.jinja"),
    "own-chatml": CHATML,
    "own-inst": INST,
}


def tokens(name: str) -> dict[str, Any]:
    """What stands in the file: by tokenizer the ids, the trained ones among them, and the text they spell."""
    found = {}
    for kind, build in KINDS.items():
        row = encode_row(CONVERSATION, build(), TEMPLATES[name], 9999)
        found[kind] = {
            "text": marked(row, build()),
            "input_ids": row.input_ids,
            "trained": [place for place, label in enumerate(row.labels) if label != IGNORED],
        }
    return found


@pytest.mark.parametrize("name", TEMPLATES)
def test_golden_tokens(name: str) -> None:
    expected = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert tokens(name) == expected


def test_every_file_is_tested() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(TEMPLATES)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in TEMPLATES:
        lines = json.dumps(tokens(each), ensure_ascii=False)
        (GOLDEN / f"{each}.json").write_text(lines.replace(', "', ',\n"') + "\n", encoding="utf-8")
