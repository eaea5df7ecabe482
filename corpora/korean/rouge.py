"""ROUGE for Korean: rouge-score's definition with tokenizers that keep Hangul.

rouge-score's own tokenizer keeps ``[a-z0-9]`` only: every pair of Hangul texts scores 0, and any two questions that
share only "WMS" score 1. Use ``rouge_l`` for a score; ``TOKENIZERS`` names the choices.
"""

from __future__ import annotations

from collections.abc import Callable

from rouge_score import rouge_scorer, tokenizers

from corpora.korean.analyse import content_morphemes, tokens

__all__ = ["TOKENIZERS", "KoreanTokenizer", "rouge_l", "tokenize"]


Tokenize = Callable[[str, tuple[str, ...]], tuple[str, ...]]


def _english(text: str, _dictionary: tuple[str, ...]) -> tuple[str, ...]:
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


class KoreanTokenizer(tokenizers.Tokenizer):
    """A tokenizer of ours in the shape that rouge-score takes."""

    def __init__(self, name: str = "content_morphemes") -> None:
        self.name = name

    def tokenize(self, text: str) -> list[str]:
        """Tokens of ``text``."""
        return list(tokenize(self.name, text))


def rouge_l(target: str, prediction: str, tokenizer: str = "content_morphemes") -> float:
    """ROUGE-L F1 of two texts, from 0 to 1, by rouge-score itself."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=KoreanTokenizer(tokenizer))
    return float(scorer.score(target, prediction)["rougeL"].fmeasure)
