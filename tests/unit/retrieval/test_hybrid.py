"""The mix of lexical and dense scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.index.hybrid import WEIGHTS, Weights, mix, standardised
from retrieval.index.lexical import LexicalIndex, LexicalScores

numbers = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30)


def lexical(bm25: list[float], grams: list[float] | None = None) -> LexicalScores:
    return LexicalScores(
        ids=np.arange(len(bm25)),
        bm25=np.array(bm25, dtype=np.float32),
        grams=np.array(bm25 if grams is None else grams, dtype=np.float32),
    )


def floats(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


@given(values=numbers, scale=st.sampled_from([0.5, 2.0, 64.0]))
def test_standardised_forgets_the_scale_and_keeps_the_order(values: list[float], scale: float) -> None:
    scores = floats(values)
    found = standardised(scores)
    assert found.dtype == np.float32
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found, standardised(scores * np.float32(scale)), atol=1e-5)
    order = np.argsort(scores, kind="stable")
    assert np.all(np.diff(found[order]) >= 0)
    if found.any():
        assert found.mean() == pytest.approx(0, abs=1e-4)
        assert found.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scores", [[], [3.0], [0.1, 0.1, 0.1], [0.0, 0.0]])
def test_without_spread_nothing_is_above(scores: list[float]) -> None:
    assert not standardised(floats(scores)).any()


def test_what_shares_nothing_is_no_hit() -> None:
    found = mix(lexical([2, 0, 0, 0], [3, 1, 0, 0]), floats([0, 0, 0.1, 0]))
    assert np.isfinite(found).tolist() == [True, True, True, False]
    assert found.argmax() == 0
    assert not np.isfinite(mix(lexical([0, 0]), floats([0, -0.2]))).any()
    assert np.isfinite(mix(lexical([0, 1]), None)).tolist() == [False, True]
    # A single row has no spread; it is a hit all the same.
    assert mix(lexical([1]), floats([0.5])).tolist() == [0.0]
    assert mix(lexical([]), floats([])).shape == (0,)


def test_each_part_counts() -> None:
    words, cosines = lexical([1, 0.9, 0], [0.9, 1, 0]), floats([0.1, 0.2, 0.9])
    assert mix(words, cosines, Weights(grams=0, dense=0)).argmax() == 0
    assert mix(words, cosines, Weights(grams=2, dense=0)).argmax() == 1
    assert mix(words, cosines, Weights(grams=0, dense=9)).argmax() == 2
    with pytest.raises(ValueError, match="1 cosines for 3 rows"):
        mix(words, floats([1]))


@given(values=numbers)
def test_a_better_part_never_lowers_the_place(values: list[float]) -> None:
    """Where the three agree on the order, so does the mix."""
    scores = np.abs(floats(values))
    found = mix(lexical(list(scores)), scores / 100)
    order = np.argsort(scores, kind="stable")
    assert np.all(found[order][1:] >= found[order][:-1])


def test_the_lexical_half_leads() -> None:
    """The default embedder hashes the same morphemes: its weight is a tie-breaker's."""
    assert WEIGHTS.dense < WEIGHTS.bm25 < WEIGHTS.grams
    index = LexicalIndex()
    texts = ["냉장 창고 온도는 매시간 기록합니다.", "반품 상자는 검수한 뒤 적치합니다.", "도크 예약은 전날 마감합니다."]
    index.add([1, 2, 3], texts)
    found = index.scores("반품을 검수하는 방법")
    mixed = mix(found, floats([0.3, 0.25, 0.2]))
    assert int(found.ids[mixed.argmax()]) == 2
