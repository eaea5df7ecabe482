"""Both halves of the index together: modes, filters, variety, and additions that fail."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from retrieval.embedders import HashedEmbedder, Vectors
from retrieval.index import CorpusIndex
from retrieval.index.hybrid import mix
from retrieval.index.lexical import LexicalIndex
from retrieval.index.vectors import VectorIndex

TEXTS = {
    10: "반품은 상품을 받은 날부터 7일 안에 접수합니다.",
    20: "반품 접수는 상품 수령 후 7일 안에 합니다.",
    30: "출고 마감은 오후 3시이며 이후 주문은 다음 날 나갑니다.",
    40: "오류 코드 E-204가 보이면 스캐너를 다시 연결하십시오.",
    50: "재고 실사는 매월 마지막 금요일에 합니다.",
}


@pytest.fixture(scope="module")
def embedder() -> HashedEmbedder:
    return HashedEmbedder.fit(list(TEXTS.values()))


@pytest.fixture
def index(embedder: HashedEmbedder) -> CorpusIndex:
    made = CorpusIndex.empty(embedder)
    made.add(list(TEXTS), list(TEXTS.values()), embedder)
    return made


class Places:
    """An embedder of texts that say where they lie: ``자리 3``; 40 clumps in 32 dimensions."""

    fingerprint, dimension, semantic_threshold = "places-1", 32, 0.9
    by_words = False

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.centres, self.noise = rng.normal(size=(40, 32)), rng.normal(size=(4000, 32))

    def embed(self, texts: Sequence[str]) -> Vectors:
        numbers = [int(re.findall(r"[0-9]+", text)[0]) for text in texts]
        rows = np.array([self.centres[n % 40] + 0.3 * self.noise[n] for n in numbers])
        unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed(texts)

    def embed_pairs(self, pairs: Sequence[tuple[str, str | None]]) -> Vectors:
        return self.embed([question for question, _ in pairs])


def test_each_mode_says_what_it_knows(index: CorpusIndex, embedder: HashedEmbedder) -> None:
    hybrid, dense, lexical = (
        index.search("E-204 오류", 3, embedder, mode=mode) for mode in ("hybrid", "dense", "lexical")
    )
    assert hybrid[0].number == dense[0].number == lexical[0].number == 40
    assert hybrid[0].dense == dense[0].dense == dense[0].score
    assert hybrid[0].lexical == lexical[0].lexical
    assert dense[0].lexical is None
    assert lexical[0].dense is None


def test_hybrid_is_the_mix_over_all_rows(index: CorpusIndex, embedder: HashedEmbedder) -> None:
    index.remove([30])
    index.add([30], [TEXTS[30]], embedder)
    query = "반품 접수 마감"
    lexical = LexicalIndex()
    numbers = [n for n in TEXTS if n != 30] + [30]
    lexical.add(numbers, [TEXTS[n] for n in numbers])
    cosines = embedder.embed([TEXTS[n] for n in numbers]) @ embedder.embed_queries([query])[0]
    expected = dict(zip(numbers, mix(lexical.scores(query), cosines).tolist(), strict=True))
    found = index.search(query, 5, embedder)
    assert {hit.number: hit.score for hit in found} == pytest.approx(
        {n: score for n, score in expected.items() if np.isfinite(score)}, abs=1e-4
    )
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


def test_what_shares_nothing_is_no_hit(index: CorpusIndex, embedder: HashedEmbedder) -> None:
    # Of the weightless embedder's 1,024 dimensions a strange word may meet one that is in use; words do not.
    assert index.search("zzz", 5, embedder, mode="lexical") == []
    for mode in ("hybrid", "dense", "lexical"):
        assert index.search("?!", 5, embedder, mode=mode) == []
        assert index.search("", 5, embedder, mode=mode) == []
        assert index.search("반품", 0, embedder, mode=mode) == []
        assert CorpusIndex.empty(embedder).search("반품", 5, embedder, mode=mode) == []


def test_a_filter_leaves_scores_alone(index: CorpusIndex, embedder: HashedEmbedder) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        every = {hit.number: hit for hit in index.search("반품 접수", 5, embedder, mode=mode)}
        some = index.search("반품 접수", 5, embedder, mode=mode, allowed={20, 30, 999})
        assert some[0] == every[20]
        assert {hit.number for hit in some} <= {20, 30}
        assert index.search("반품 접수", 5, embedder, mode=mode, allowed=()) == []


def test_variety_pushes_back_what_says_the_same(index: CorpusIndex, embedder: HashedEmbedder) -> None:
    plain = index.search("반품 접수, 재고 실사", 2, embedder)
    assert {hit.number for hit in plain} == {10, 20} or plain[0].number == 50
    varied = index.search("반품 접수, 재고 실사", 2, embedder, diversity=0.7)
    assert 50 in {hit.number for hit in varied}
    assert len({hit.number for hit in varied} & {10, 20}) == 1
    same = index.search("반품 접수", 3, embedder, diversity=0.0)
    assert same == index.search("반품 접수", 3, embedder)


def test_what_was_removed_is_gone_from_both_halves(index: CorpusIndex, embedder: HashedEmbedder) -> None:
    assert index.remove([10, 11]) == 1
    assert index.ids() == set(TEXTS) - {10}
    for mode in ("hybrid", "dense", "lexical"):
        assert index.search("반품 접수", 5, embedder, mode=mode)[0].number == 20


def test_a_failed_addition_leaves_both_halves_as_they_were(
    index: CorpusIndex, embedder: HashedEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = index.search("반품 접수", 5, embedder)
    monkeypatch.setattr("retrieval.index.corpus_index.BATCH", 1)
    calls: list[int] = []

    def failing(_self: object, texts: Sequence[str]) -> Vectors:
        calls.append(len(texts))
        if len(calls) == 2:
            raise OSError("연결이 끊겼습니다")
        return np.full((len(texts), 1024), 1 / 32, dtype=np.float32)

    with monkeypatch.context() as patch:
        patch.setattr(HashedEmbedder, "embed", failing)
        with pytest.raises(OSError, match="연결"):
            index.add([60, 70], ["반품 접수 창구", "반품 접수 서류"], embedder)
    assert calls == [1, 1]
    assert index.ids() == set(TEXTS)
    assert index.search("반품 접수", 5, embedder) == before
    # A refused id must not take the row away that has it.
    with pytest.raises(ValueError, match="already"):
        index.add([70, 10], ["반품 접수 창구", "반품"], embedder)
    assert index.search("반품 접수", 5, embedder) == before


def test_another_embedder_is_refused(index: CorpusIndex) -> None:
    with pytest.raises(ValueError, match="places-1"):
        index.search("자리 1", 3, Places())
    with pytest.raises(ValueError, match="places-1"):
        index.add([1], ["자리 1"], Places())


def test_with_an_inverted_file_the_mix_finds_nearly_the_same() -> None:
    embedder, count = Places(), 1500
    words = ["입고", "출고", "반품", "재고", "실사", "검수", "적치", "포장"]
    texts = [f"자리 {n} {words[n % 8]} {words[n // 8 % 8]}" for n in range(count)]
    exact = CorpusIndex.empty(embedder)
    lists = CorpusIndex(VectorIndex(32, exact_limit=1000), LexicalIndex(), embedder.fingerprint)
    for index in (exact, lists):
        index.add(range(count), texts, embedder)
    assert (exact.choice.kind, lists.choice.kind) == ("flat", "ivf")
    shared = 0
    for n in range(0, count, 50):
        query = f"{n} {words[n % 8]}"
        first, second = exact.search(query, 10, embedder), lists.search(query, 10, embedder)
        assert first[0].number == second[0].number
        shared += len({hit.number for hit in first} & {hit.number for hit in second})
        known = {hit.number: hit for hit in first}
        for hit in second:
            if hit.number in known:
                assert hit.dense == known[hit.number].dense
                assert hit.score == pytest.approx(known[hit.number].score, rel=0.05)
        half = range(0, count, 2)
        assert all(hit.number % 2 == 0 for hit in lists.search(query, 10, embedder, allowed=half))
    assert shared >= 0.9 * 300


def test_a_collision_of_hashes_is_no_hit() -> None:
    """The weightless embedder's cosine of texts without a common word is not always 0."""
    texts = [f"{n}번 창고의 {word} 절차를 확인합니다." for n, word in enumerate(["입고", "출고", "반품", "실사"] * 50)]
    embedder = HashedEmbedder.fit(texts)
    index = CorpusIndex.empty(embedder)
    index.add(range(len(texts)), texts, embedder)
    words = ("zzz", "qqq", "xyzzy", "완두콩", "등대지기")
    assert any(hit.score > 0 for word in words for hit in index.search(word, 5, embedder, mode="dense"))
    assert [hit for word in words for hit in index.search(word, 5, embedder) if hit.lexical == 0] == []
