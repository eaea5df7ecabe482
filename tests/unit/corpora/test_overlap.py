"""Which validation rows are training rows, whatever their blanks and their Unicode form."""

from __future__ import annotations

import unicodedata
from typing import Any

from corpora.overlap import Overlap, conversation_key, overlap


def talk(question: str, answer: str, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer} | more]


def test_what_is_the_same() -> None:
    one = talk("재고는 어디에 있나요?", "조회 화면에 있습니다.")
    same = (
        talk(unicodedata.normalize("NFD", "재고는 어디에 있나요?"), "조회 화면에 있습니다."),
        talk("재고는  어디에\n있나요? ", "\t조회 화면에 있습니다."),
        talk("재고는 어디에 있나요?", "조회 화면에 있습니다.", weight=0),
    )
    assert {conversation_key(other) for other in same} == {conversation_key(one)}
    others = (
        talk("재고는 어디에 있나요", "조회 화면에 있습니다."),
        talk("재고는 어디에 있나요? 조회", "화면에 있습니다."),
        talk("재고는어디에 있나요?", "조회 화면에 있습니다."),
        [{"role": "system", "content": "안내"}, *one],
        list(reversed(one)),
    )
    assert conversation_key(one) not in {conversation_key(other) for other in others}


def test_counts_and_lines() -> None:
    train = [(number, talk(f"{number}번?", "네.")) for number in range(1, 50)]
    valid = [(1, talk("7번?", "네.")), (3, talk("새 물음", "네.")), (4, talk("7번? ", "네.")), (9, talk("9번?", "네."))]
    assert overlap(train, valid) == Overlap(rows=3, of=4, lines=(1, 4, 9))
    assert overlap(train + train, valid).rows == 3
    assert overlap(train, []) == Overlap(rows=0, of=0)
    many = overlap(train * 10, [(number, talk("7번?", "네.")) for number in range(1, 200)])
    assert (many.rows, len(many.lines)) == (199, 100)
