"""Decontamination: samples that give away what a model will be tested on.

Protected are held-out documents, test rows and benchmark files. A sample is contaminated when runs of ``NGRAM`` content
morphemes that also stand in one protected text cover at least ``COVERAGE`` of it, or when its question is a
near-duplicate of a protected question. The verdict names the place. Knows no store and no file format.

Use::

    protected = Contamination()
    protected.protect_text("반품 매뉴얼", text)
    protected.protect_row("kobest.jsonl:17", question, whole_text)
    verdict = protected.find(question, whole_text)      # None, or why not
"""

from __future__ import annotations

from dataclasses import dataclass

from corpora.korean.analyse import content_morphemes
from corpora.records import Verdict
from retrieval.near_duplicates import LexicalDuplicates

__all__ = ["COVERAGE", "NGRAM", "Contamination"]

#: Content morphemes of a run. English practice is 13 words (GPT-3) or 10 tokens (Llama 2); a Korean eojeol of running
#: text gives about one content morpheme, particles and endings not counted.
NGRAM = 8
#: Share of a sample's morphemes under such runs from which it counts: below it are manuals' stock phrases
#: (docs/decisions.md has the rates).
COVERAGE = 0.5


@dataclass(frozen=True, slots=True)
class _Protected:
    name: str
    tokens: tuple[str, ...]


class Contamination:
    """Protected texts, searchable for what a sample shares with them."""

    def __init__(self, *, ngram: int = NGRAM, coverage: float = COVERAGE, threshold: str = "0.7") -> None:
        self.ngram = ngram
        self.coverage = coverage
        self.threshold = threshold
        self._texts: list[_Protected] = []
        #: Where a run of morphemes stands first in each text that has it.
        self._runs: dict[tuple[str, ...], list[int]] = {}
        self._questions = LexicalDuplicates(threshold)

    def __len__(self) -> int:
        return len(self._texts)

    def protect_text(self, name: str, text: str) -> None:
        """Protect a running text, such as a held-out document; ``name`` is the place that verdicts show."""
        number = len(self._texts)
        tokens = content_morphemes(text)
        self._texts.append(_Protected(name, tokens))
        for run in set(self._runs_of(tokens)):
            self._runs.setdefault(run, []).append(number)

    def protect_row(self, name: str, question: str, text: str) -> None:
        """Protect a question and the whole text of its conversation."""
        self._questions.add(name, question)
        self.protect_text(name, text)

    def find(self, question: str, text: str) -> Verdict | None:
        """Why a sample must not train, or None.

        Args:
            question: What it asks, compared with protected questions.
            text: All that is said in it, compared with protected texts.
        """
        hit = self._questions.find(question)
        if hit is not None:
            evidence = {"of": hit.key, "question": hit.question, "threshold": self.threshold}
            return Verdict(
                stage="contamination", reason="contaminated_question", score=round(hit.score, 4), evidence=evidence
            )
        return self._overlap(content_morphemes(text))

    def _runs_of(self, tokens: tuple[str, ...]) -> list[tuple[str, ...]]:
        return [tokens[start : start + self.ngram] for start in range(len(tokens) - self.ngram + 1)]

    def _overlap(self, tokens: tuple[str, ...]) -> Verdict | None:
        """The protected text that covers most of ``tokens``, where that is enough."""
        covered: dict[int, set[int]] = {}
        for start, run in enumerate(self._runs_of(tokens)):
            for number in self._runs.get(run, ()):
                covered.setdefault(number, set()).update(range(start, start + self.ngram))
        if not covered:
            return None
        number, places = max(covered.items(), key=lambda entry: (len(entry[1]), -entry[0]))
        share = len(places) / len(tokens)
        if share < self.coverage:
            return None
        first = min(places)
        shown = {"of": self._texts[number].name, "morphemes": " ".join(tokens[first : first + self.ngram])}
        return Verdict(
            stage="contamination",
            reason="contaminated_text",
            score=round(share, 4),
            evidence=shown | {"ngram": self.ngram, "limit": self.coverage},
        )
