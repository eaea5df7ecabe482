"""Maximal marginal relevance: the best hits that do not say the same thing twice. Pure, on arrays.

Carbonell and Goldstein, SIGIR 1998: greedily the candidate with the best (1 - diversity) x relevance - diversity x
greatest cosine with what is taken already. Knows no index and no text::

    places = diversified(scores, vectors, 5, 0.3)       # places in ``scores``, the first taken first
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["diversified"]


def diversified(scores: NDArray[np.float32], vectors: NDArray[np.float32], k: int, diversity: float) -> list[int]:
    """Places of the ``k`` candidates to show, in order; the first is always the one with the best score.

    Args:
        scores: How relevant each candidate is, shape (n,), on any scale, finite. They are stretched to 0 (the worst
            candidate) to 1 (the best), because a mix of standardised scores has no scale that fits a cosine.
        vectors: Unit vectors of the candidates, shape (n, dimension).
        k: How many; all where there are fewer.
        diversity: From 0 (by score alone) to 1 (by difference alone). LangChain's ``lambda_mult`` is 1 minus this.

    Raises:
        ValueError: ``diversity`` is outside 0 to 1, or scores and vectors do not fit together.
    """
    if not 0 <= diversity <= 1:
        raise ValueError(f"Diversity is from 0 to 1, not {diversity}.")
    if len(scores) != len(vectors):
        raise ValueError(f"{len(vectors)} vectors for {len(scores)} scores.")
    # By score from here on: the first of equals is the better one, and else the earlier one.
    order = np.argsort(-scores, kind="stable")
    if diversity == 0 or len(order) <= 1:
        return [int(place) for place in order[: max(k, 0)]]
    relevance, rows = _stretched(scores[order].astype(np.float64)), vectors[order]
    nearest = np.zeros(len(order))
    free = np.ones(len(order), dtype=bool)
    taken: list[int] = []
    while len(taken) < min(k, len(order)):
        gains = (1 - diversity) * relevance - diversity * nearest
        best = int(np.argmax(np.where(free, gains, -np.inf))) if taken else 0
        cosines = rows @ rows[best]
        nearest = np.maximum(nearest, cosines) if taken else cosines.astype(np.float64)
        free[best] = False
        taken.append(best)
    return [int(order[place]) for place in taken]


def _stretched(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = scores[0] - scores[-1]
    return (scores - scores[-1]) / spread if spread > 0 else np.ones(len(scores))
