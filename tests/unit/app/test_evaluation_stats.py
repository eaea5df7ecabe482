"""Rates, paired differences and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.evaluation_diversity import distinct_n, self_similarity
from app.services.evaluation_stats import Tally, difference, estimate

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


def tallies(*values: float) -> dict[int, Tally]:
    return {row: Tally(numerator=value) for row, value in enumerate(values)}


def test_a_mean_and_a_ratio_of_sums() -> None:
    assert estimate(tallies(0.0, 1.0, 1.0), 7).value == pytest.approx(2 / 3)
    shares = {1: Tally(numerator=1, denominator=1), 2: Tally(numerator=0, denominator=3)}
    assert estimate(shares, 7).value == pytest.approx(0.25)  # of four numbers one, not the mean of 1 and 0


def test_a_perplexity_weighs_tokens() -> None:
    likelihoods = {1: Tally(numerator=2.0, denominator=1), 2: Tally(numerator=1.0, denominator=3)}
    assert estimate(likelihoods, 7, np.exp).value == pytest.approx(math.exp(3 / 4))


def test_nothing_counted_and_one_row() -> None:
    assert estimate({}, 7).as_dict() == {"value": None, "low": None, "high": None, "n": 0}
    assert estimate(tallies(0.5), 7).as_dict() == {"value": 0.5, "low": None, "high": None, "n": 1}
    assert estimate({1: Tally(numerator=0, denominator=0)}, 7).value is None
    assert difference(tallies(1.0), {5: Tally(numerator=1.0)}, 7).n == 0


def test_a_figure_too_large_for_a_number_is_none() -> None:
    assert estimate({1: Tally(numerator=1e6), 2: Tally(numerator=1e6)}, 7, np.exp).value is None


def test_differences_are_of_the_same_rows() -> None:
    base = {1: Tally(numerator=0.0), 2: Tally(numerator=0.0), 3: Tally(numerator=1.0)}
    tuned = {1: Tally(numerator=1.0), 2: Tally(numerator=0.5), 9: Tally(numerator=0.0)}
    found = difference(base, tuned, 7)
    assert (found.value, found.n) == (0.75, 2)
    # A constant gain has no spread, whatever the rows: they are paired.
    before = [n / 50 for n in range(40)]
    steady = difference(tallies(*before), tallies(*(value + 0.1 for value in before)), 7)
    assert (steady.low, steady.high) == pytest.approx((0.1, 0.1))


def test_an_interval_covers_the_mean_it_was_drawn_from() -> None:
    random = np.random.default_rng(11)
    covered = 0
    for seed in range(100):
        found = estimate(tallies(*random.binomial(1, 0.3, size=100).astype(float)), seed)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.3 <= found.high
    assert covered >= 88  # 95 expected


@settings(deadline=None)
@given(VALUES, st.integers(0, 2**31 - 1))
def test_intervals_are_ordered_bounded_and_repeatable(values: list[float], seed: int) -> None:
    found = estimate(tallies(*values), seed)
    assert found == estimate(tallies(*values), seed)
    assert found.low is not None
    assert found.high is not None
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


@settings(deadline=None)
@given(VALUES)
def test_a_model_does_not_differ_from_itself(values: list[float]) -> None:
    found = difference(tallies(*values), tallies(*values), 7)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_distinct_n_by_hand() -> None:
    # 입고 / 확인 twice: two different unigrams of four, one bigram of two.
    assert distinct_n(["입고 확인", "입고 확인"], 1) == 0.5
    assert distinct_n(["입고 확인", "입고 확인"], 2) == 0.5
    # 입고, 확인, 출고, 확인: n-grams do not run from one answer into the next.
    assert distinct_n(["입고 확인", "출고 확인"], 1) == 0.75
    assert distinct_n(["입고 확인", "출고 확인"], 2) == 1.0
    assert distinct_n(["", " "], 1) is None
    assert distinct_n(["입고"], 2) is None


def test_self_similarity_by_hand() -> None:
    assert self_similarity(["입고 확인", "입고 확인", "입고 확인"]) == 1.0
    assert self_similarity(["", ""]) == 1.0  # the same nothing
    # Pairs: 1, and twice one common morpheme of two and two: 0.5.
    assert self_similarity(["입고 확인", "입고 확인", "출고 확인"]) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert self_similarity(["입고 확인", "출고 등록"]) == 0.0
    assert self_similarity(["입고"]) is None
