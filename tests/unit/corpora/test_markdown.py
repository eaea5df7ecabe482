"""Blocks of Markdown with exact offsets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import markdown
from corpora.markdown import blocks, plain, seamed

PAGE = """---
title: 입고
---
# 입고 관리

입고란 상품을 받는 일입니다.
두 번째 줄입니다.

1. 차량을 확인합니다.
2. 수량을 셉니다.

| 항목 | 값 |
| --- | --- |
| 시간 | 30분 |

```
# 제목이 아닙니다
```

## **굵은** 제목 [링크](x.md) `코드`
"""


def test_kinds_and_offsets() -> None:
    found = blocks(PAGE)
    assert [b.kind for b in found] == ["front_matter", "heading", "paragraph", "list", "table", "code", "heading"]
    for block in found:
        if block.kind not in ("heading", "front_matter"):
            assert PAGE[block.start : block.end] == block.text
    assert found[1].text == "입고 관리"
    assert found[1].level == 1
    assert found[3].ordered
    assert PAGE[found[4].start : found[4].end].endswith("| 30분 |")


def test_plain_is_what_a_reader_sees() -> None:
    assert plain(blocks(PAGE)[-1].text) == "굵은 제목 링크 코드"


def test_form_feeds_do_not_shift_offsets() -> None:
    text = "첫 줄\x0c둘째\x1c셋째\n\n## 제목\n\n본문입니다."
    assert [text[b.start : b.end] for b in blocks(text)][1] == "## 제목"


PIECES = st.sampled_from(
    [
        "# 제목\n",
        "## 둘\n",
        "문단입니다. 둘.\n",
        "\n",
        "1. 하나\n",
        "2. 둘\n",
        "- 점\n",
        "| 가 | 나 |\n",
        "| --- | --- |\n",
        "```\n",
        "> 인용\n",
        "---\n",
        "   들여쓰기\n",
        "<div>\n",
        "마지막",
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_blocks_are_in_order_and_inside(text: str) -> None:
    end = 0
    for block in blocks(text):
        assert end <= block.start <= block.end <= len(text)
        end = block.end


TRICKY = """가
나다
# 제목
===
---
- 항목
2. 단계
    들여쓴 줄
```
~~~ 코드
> 인용
| 가 | 나 |
| --- | --- |
<div>
</div>
<!-- 주석
-->
<pre>
</pre>
[참조]: /입고
'제목'"""
LINES = st.lists(st.sampled_from(["", "", "   ", "\t탭", *TRICKY.split("\n")]), max_size=40)


@settings(max_examples=200, deadline=None)
@given(lines=LINES, window=st.integers(1, 6))
def test_reading_by_windows_changes_nothing(lines: list[str], window: int) -> None:
    text = "\n".join(lines)
    whole = seamed(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markdown, "WINDOW", window)
        assert seamed(text) == whole
