"""Maximal marginal relevance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.index.diversity import diversified


@st.composite
def candidates(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(0, 12))
    # Few distinct values: ties are the hard case.
    scores = draw(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.0]), min_size=count, max_size=count))
    kinds = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    base = np.random.default_rng(5).normal(size=(5, 6)).astype(np.float32)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    return np.array(scores, dtype=np.float32), base[kinds].reshape(count, 6)


def by_the_book(scores: np.ndarray, vectors: np.ndarray, k: int, diversity: float) -> list[float]:
    """Gain of each step, straight from the formula."""
    if not len(scores):
        return []
    spread = float(scores.max() - scores.min())
    relevance = (scores - scores.min()) / spread if spread else np.ones(len(scores))
    taken: list[int] = []
    gains = []
    for _ in range(min(k, len(scores))):
        open_places = [i for i in range(len(scores)) if i not in taken]
        gain = {
            i: (1 - diversity) * float(relevance[i])
            - diversity * max((float(vectors[i] @ vectors[j]) for j in taken), default=0.0)
            for i in open_places
        }
        best = max(open_places, key=lambda i: gain[i]) if taken else int(np.argmax(scores))
        gains.append(gain[best])
        taken.append(best)
    return gains


@given(found=candidates(), k=st.integers(0, 15), diversity=st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
def test_places_are_distinct_and_begin_with_the_best(
    found: tuple[np.ndarray, np.ndarray], k: int, diversity: float
) -> None:
    scores, vectors = found
    places = diversified(scores, vectors, k, diversity)
    assert len(places) == len(set(places)) == min(k, len(scores))
    assert all(0 <= place < len(scores) for place in places)
    if places:
        assert scores[places[0]] == scores.max()
    # Asked for fewer, it gives the beginning of the same list.
    assert diversified(scores, vectors, k // 2, diversity) == places[: k // 2]


@given(found=candidates(), k=st.integers(0, 15))
def test_without_diversity_it_is_the_order_of_scores(found: tuple[np.ndarray, np.ndarray], k: int) -> None:
    scores, vectors = found
    assert diversified(scores, vectors, k, 0) == np.argsort(-scores, kind="stable")[:k].tolist()


@given(found=candidates(), diversity=st.sampled_from([0.3, 0.7]))
def test_each_step_gains_the_most(found: tuple[np.ndarray, np.ndarray], diversity: float) -> None:
    scores, vectors = found
    wanted = by_the_book(scores, vectors, 2, diversity)
    places = diversified(scores, vectors, 2, diversity)
    if len(places) == 2:
        spread = float(scores.max() - scores.min())
        relevance = (scores[places[1]] - scores.min()) / spread if spread else 1.0
        gain = (1 - diversity) * float(relevance) - diversity * float(vectors[places[1]] @ vectors[places[0]])
        # Equal best scores may begin with another of them by name, not by gain.
        if (scores == scores.max()).sum() == 1:
            assert gain == pytest.approx(wanted[1], abs=1e-5)


def test_the_second_version_of_one_page_waits() -> None:
    pages = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    scores = np.array([1.0, 0.99, 0.9, 0.2], dtype=np.float32)
    assert diversified(scores, pages, 2, 0) == [0, 1]
    assert diversified(scores, pages, 2, 0.5) == [0, 2]
    assert diversified(scores, pages, 4, 1) == [0, 2, 3, 1]
    # Another scale, the same choice.
    assert diversified(scores * 40 - 7, pages, 3, 0.5) == diversified(scores, pages, 3, 0.5)


def test_wrong_arguments() -> None:
    one = np.ones((1, 2), dtype=np.float32)
    for diversity in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            diversified(np.ones(1, dtype=np.float32), one, 1, diversity)
    with pytest.raises(ValueError, match="1 vectors for 2 scores"):
        diversified(np.ones(2, dtype=np.float32), one, 1, 0.5)
    assert diversified(np.zeros(0, dtype=np.float32), np.zeros((0, 2), dtype=np.float32), 3, 0.5) == []
