"""The language of a document by its letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("입고란 창고에 물건을 들이는 일을 말합니다.", "ko"),
        ("Dynamics 365 Warehouse Management에서 Wave template을 선택합니다. Load planning workbench를 엽니다.", "ko"),
        ("입고(入庫) 검수(檢收) 절차(節次)를 설명합니다.", "ko"),
        ("入庫とは倉庫に商品を入れることです。検品のあとで棚に置きます。", "ja"),
        ("入库是指把商品放进仓库的工作。检查之后放到货架上。", "zh"),
        ("Receiving means taking goods into the warehouse; 김철수 wrote this guide for the whole team.", "und-Latn"),
        ("Der Wareneingang ist die Annahme von Gütern im Lager.", "und-Latn"),
        ("Приёмка — это размещение товара на складе.", "und"),
        ("1,234 | 5,678\n---|---\n", "und"),
        ("", "und"),
        ("```python\nprint('hello world, this is code')\n```\n코드를 실행합니다.", "ko"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert detect_language(text) == language


@given(st.text(max_size=200))
def test_any_text_has_an_answer(text: str) -> None:
    assert detect_language(text) in {"ko", "ja", "zh", "und-Latn", "und"}
