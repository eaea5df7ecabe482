"""What a conversation is shown of a corpus."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.services.chat_context import find_passages
from app.services.context import Services
from app.services.corpora import create_corpus
from corpora.errors import InvalidInputError

MANUAL = "# 입고\n\n냉장 입고는 전날 17시까지 확정합니다.\n\n# 반품\n\n반품 상자는 3번 도크에 쌓습니다.\n"


def said(*turns: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": turn} for turn in turns]


def test_a_follow_up_keeps_the_passages_of_what_it_follows(
    services: Services, corpus: Callable[..., tuple[str, list[str]]]
) -> None:
    made, _ = corpus(MANUAL)
    asked = "냉장 입고는 언제까지 확정하나요?"
    first = find_passages(services, made, said(asked), 1)
    assert "17시" in first[0].chunk["text"]
    assert find_passages(services, made, said(asked, "왜요?"), 1)[0].chunk == first[0].chunk
    # It says enough by itself, but nothing that the corpus knows: hashed words meet by chance alone.
    assert find_passages(services, made, said(asked, "오늘 저녁 축구 경기 결과"), 1)[0].chunk == first[0].chunk
    assert (
        "3번 도크" in find_passages(services, made, said(asked, "반품 상자는 몇 번 도크에 쌓나요?"), 1)[0].chunk["text"]
    )


def test_a_corpus_with_nothing_in_it_is_refused(services: Services) -> None:
    made = create_corpus(services, "빈 창고")["id"]
    with pytest.raises(InvalidInputError) as caught:
        find_passages(services, made, said("도크는요?"), 3)
    assert (caught.value.code, caught.value.param) == ("index_missing", "corpus_id")
