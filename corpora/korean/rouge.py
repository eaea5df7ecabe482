"""ROUGE for Korean: rouge-score's definition with tokenizers that keep Hangul.

rouge-score's own tokenizer keeps ``[a-z0-9]`` only: every pair of Hangul texts scores 0, and any two questions that
share only "WMS" score 1. Use ``rouge_l`` for a score, ``rouge`` for all of an evaluation's; ``TOKENIZERS`` names the
choices. rouge-score is imported when it is first asked: it brings the whole of nltk, 2.3 s of CPU to each worker.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from corpora.korean.analyse import content_morphemes, tokens

__all__ = ["ROUGE_TYPES", "TOKENIZERS", "KoreanTokenizer", "Rouge", "rouge", "rouge_l", "tokenize"]

#: What an evaluation reports: unigrams, bigrams, longest common subsequence.
ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")

#: Marks at either end: Kiwi takes the full stop behind a Latin word for a part of it. Jamo are letters, and stay.
_MARKS = re.compile(r"^[\W_]+|[\W_]+$")
Tokenize = Callable[[str, tuple[str, ...]], tuple[str, ...]]


def _english(text: str, _dictionary: tuple[str, ...]) -> tuple[str, ...]:
    from rouge_score import tokenizers

    return tuple(tokenizers.DefaultTokenizer(use_stemmer=False).tokenize(text))


#: Tokenizers by the name that goes into a manifest.
TOKENIZERS: dict[str, Tokenize] = {
    "content_morphemes": content_morphemes,
    "morpheme": lambda text, _: tuple(token.form for token in tokens(text)),
    "whitespace": lambda text, _: tuple(text.split()),
    "character": lambda text, _: tuple(character for character in text if not character.isspace()),
    "english": _english,
}


def tokenize(name: str, text: str, dictionary: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Tokens of ``text`` by the tokenizer called ``name``; ``dictionary`` are nouns that morphemes must not split.

    Raises:
        KeyError: there is no tokenizer of that name.
    """
    return TOKENIZERS[name](text, dictionary)


class KoreanTokenizer:
    """A tokenizer of ours in the shape that rouge-score takes; ``words`` leaves punctuation out."""

    def __init__(self, name: str = "content_morphemes", *, words: bool = False) -> None:
        self.name = name
        self.words = words

    def tokenize(self, text: str) -> list[str]:
        """Tokens of ``text``."""
        found = list(tokenize(self.name, text))
        if not self.words:
            return found
        return [word for token in found if (word := _MARKS.sub("", token))]


def rouge_l(target: str, prediction: str, tokenizer: str = "content_morphemes") -> float:
    """ROUGE-L F1 of two texts, from 0 to 1, by rouge-score itself."""
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=KoreanTokenizer(tokenizer))
    return float(scorer.score(target, prediction)["rougeL"].fmeasure)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rouge:
    """One ROUGE score, each part from 0 to 1."""

    precision: float  #: Share of the prediction's units that the target holds.
    recall: float  #: Share of the target's units that the prediction holds.
    f1: float  #: Harmonic mean of both.


def rouge(target: str, prediction: str, tokenizer: str = "morpheme") -> dict[str, Rouge]:
    """ROUGE-1, ROUGE-2 and ROUGE-L of two texts by rouge-score itself; any normal form of Hangul.

    Every morpheme counts, particles and endings too: an answer is compared as a sentence, where near-duplicates
    compare what it is about. Punctuation does not: nearly every reference ends in a full stop, so that an answer of
    nothing else would be right in all it says. A text without letter or digit scores 0.
    """
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(list(ROUGE_TYPES), tokenizer=KoreanTokenizer(tokenizer, words=True))
    found = scorer.score(unicodedata.normalize("NFC", target), unicodedata.normalize("NFC", prediction))
    return {
        name: Rouge(precision=float(one.precision), recall=float(one.recall), f1=float(one.fmeasure))
        for name, one in found.items()
    }
