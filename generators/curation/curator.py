"""The curator: one candidate in, one verdict out, cheap stages first.

parse -> the generator's own gates -> filters -> speech level -> near-duplicates by wording -> by meaning. It remembers
what was accepted, and the seeds, so that novelty is checked against both. Knows nothing of slots, models or stores.
"""

from __future__ import annotations

from corpora.bundled.loader import SeedTask
from corpora.korean.analyse import tokenizer_version
from corpora.korean.speech import SpeechLevel, speech_level
from corpora.records import Candidate, Sample, Verdict
from generators.curation.filters import FILTERS, FILTERS_VERSION
from generators.curation.settings import CurationSettings, Politeness
from retrieval.embedders import Embedder
from retrieval.near_duplicates import DuplicateHit, LexicalDuplicates
from retrieval.semantic_duplicates import SemanticDuplicates

__all__ = ["ACCEPTED", "Curator"]

ACCEPTED = Verdict(stage="accepted", reason="ok")
_POLITE = (SpeechLevel.HAPSYO, SpeechLevel.HAEYO)
_PLAIN = (SpeechLevel.HAE, SpeechLevel.HAERA)


class Curator:
    """Judges candidates one at a time, in slot order."""

    def __init__(self, settings: CurationSettings, embedder: Embedder) -> None:
        self.settings = settings
        self._lexical = LexicalDuplicates(settings.near_duplicate_threshold)
        self._semantic = SemanticDuplicates(embedder, settings.semantic_threshold)

    @property
    def versions(self) -> dict[str, str]:
        """What decided, by name: kept with every sample, so that a dataset says how it was made."""
        return {
            "tokenizer": tokenizer_version(),
            "filters": f"v{FILTERS_VERSION}",
            "embedder": self._semantic.fingerprint,
            "near_duplicates": f"{self._lexical.tokenizer} > {self.settings.near_duplicate_threshold}, "
            f"guards: {', '.join(self._lexical.guards) or 'none'}",
        }

    def judge(self, candidate: Candidate) -> Verdict:
        """Why ``candidate`` is kept or dropped; kept ones must be handed to ``remember``."""
        if candidate.malformed is not None:
            return Verdict(stage="parse", reason="malformed_reply", evidence={"why": candidate.malformed})
        if candidate.rejection is not None:
            return candidate.rejection
        for check in FILTERS.values():
            verdict = check(candidate, self.settings.limits)
            if verdict is not None:
                return verdict
        return self._speech(candidate) or self._duplicate(candidate) or ACCEPTED

    def remember(self, sample: Sample) -> None:
        """Later candidates must differ from this accepted sample."""
        candidate = sample.candidate
        answer = candidate.answer if candidate.grounded else None
        self._lexical.add(sample.id, _asked(candidate), answer)
        self._semantic.add(sample.id, _meaning(candidate))

    def remember_seed(self, task: SeedTask) -> None:
        """Later candidates must differ from this seed task."""
        self._lexical.add(task.id, task.instruction)
        self._semantic.add(task.id, task.instruction)

    def _speech(self, candidate: Candidate) -> Verdict | None:
        for role, text, part in (("user", candidate.question, "question"), ("assistant", candidate.answer, "answer")):
            wanted: Politeness = self.settings.speech_level.get(role, "any")
            if wanted == "any":
                continue
            level = speech_level(text)
            fits = level in (_POLITE if wanted == "polite" else _PLAIN)
            # A label or a code is an answer to a free task and has no speech level.
            undecided = not candidate.grounded and level in (SpeechLevel.NEUTRAL, SpeechLevel.NOMINAL)
            if not fits and not undecided:
                return Verdict(stage="speech_level", reason=f"{part}_not_{wanted}", evidence={"level": level.value})
        return None

    def _duplicate(self, candidate: Candidate) -> Verdict | None:
        answer = candidate.answer if candidate.grounded else None
        hit = self._lexical.find(_asked(candidate), answer)
        if hit is not None:
            return _verdict("near_duplicate", hit, self.settings.near_duplicate_threshold)
        hit = self._semantic.find(_meaning(candidate))
        if hit is not None:
            return _verdict("semantic_duplicate", hit, str(self._semantic.threshold))
        return None


def _asked(candidate: Candidate) -> str:
    """What is compared of a question: all of it where grounded, the instruction without its input where free."""
    return candidate.question if candidate.grounded else candidate.question.split("\n\n", 1)[0]


def _meaning(candidate: Candidate) -> str:
    return f"{candidate.question}\n{candidate.answer}" if candidate.grounded else _asked(candidate)


def _verdict(stage: str, hit: DuplicateHit, threshold: str) -> Verdict:
    evidence: dict[str, object] = {"of": hit.key, "question": hit.question, "threshold": threshold}
    if hit.answer_score is not None:
        evidence["answer_score"] = round(hit.answer_score, 4)
    return Verdict(stage=stage, reason=stage, score=round(hit.score, 4), evidence=evidence)
