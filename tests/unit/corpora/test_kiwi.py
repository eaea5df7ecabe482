"""One Kiwi a process and dictionary; what was analysed ahead is what would be found now."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.korean.analyse import content_morphemes, content_morphemes_many, forget, nouns, prefetch, sentences, tokens
from corpora.korean.kiwi import analyser

TEXTS = st.lists(
    st.sampled_from(
        [
            "입고 예정을 등록합니다. 확인 버튼을 누르세요!",
            "재고가 맞지 않으면 마감하지 마십시오.",
            "첫째 줄입니다.\n둘째 줄입니다.\n\n- 항목",
            "WMS 10.0.25 버전, FIFO 기준",
            "",
            " ",
        ]
    )
    | st.text(max_size=40),
    max_size=6,
)


def test_there_is_one_a_dictionary() -> None:
    assert analyser() is analyser(())
    assert analyser(("마감대사",)) is analyser(("마감대사",))
    assert analyser() is not analyser(("마감대사",))


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_ahead_or_now_is_the_same(texts: list[str]) -> None:
    def everything() -> list[object]:
        return [
            (tokens(t), sentences(t), content_morphemes(t), nouns(t))
            for t in (unicodedata.normalize("NFC", text) for text in texts)
        ]

    forget()
    now = everything()
    many = list(content_morphemes_many(texts))
    prefetch(texts)
    assert everything() == now
    assert list(content_morphemes_many(texts)) == many == [entry[2] for entry in now]  # type: ignore[index]
    forget()


def test_a_noun_of_ones_own_stays_whole() -> None:
    assert "마감대사" not in content_morphemes("마감대사를 합니다.")
    assert "마감대사" in content_morphemes("마감대사를 합니다.", ("마감대사",))
    assert "마감대사" not in content_morphemes("마감대사를 합니다.")
