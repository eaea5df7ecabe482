"""How much answers to one question vary: distinct-n and self-similarity over repeated questions. Pure functions.

distinct-n is the share of different n-grams among all (Li et al. 2016, arXiv:1510.03055), of morphemes here; it falls
with length, so it is taken within one question and averaged over questions. Self-similarity is the mean ROUGE-L F1 of
every pair of answers to one question, after Self-BLEU (Zhu et al. 2018, arXiv:1802.01886): 1 is a model that always
says the same.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence

from corpora.korean.rouge import rouge, tokenize

__all__ = ["distinct_n", "self_similarity"]


def distinct_n(answers: Sequence[str], n: int) -> float | None:
    """Different morpheme n-grams among all n-grams of the answers; None where there is none.

    N-grams do not run from one answer into the next.
    """
    grams: list[tuple[str, ...]] = []
    for answer in answers:
        tokens = tokenize("morpheme", unicodedata.normalize("NFC", answer))
        grams.extend(tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1))
    return len(set(grams)) / len(grams) if grams else None


def self_similarity(answers: Sequence[str]) -> float | None:
    """Mean ROUGE-L F1 of all pairs; None for fewer than two answers. Two that are the same letter by letter give 1."""
    pairs = list(itertools.combinations(answers, 2))
    if not pairs:
        return None
    return sum(1.0 if a == b else rouge(a, b)["rougeL"].f1 for a, b in pairs) / len(pairs)
