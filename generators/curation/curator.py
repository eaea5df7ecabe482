"""The curator: one candidate in, one verdict out, cheap stages first.

parse -> the generator's own gates -> filters -> speech level -> personal data -> contamination -> near-duplicates by
wording -> by meaning. It remembers what was accepted, and the seeds, so that novelty is checked against both. Knows
nothing of slots, models or stores. ``bulk`` runs the same stages over whole files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from corpora.bundled.loader import SeedTask
from corpora.korean.analyse import tokenizer_version
from corpora.korean.personal_data import (
    PLACEHOLDERS,
    PersonalData,
    PersonalDataAction,
    confident,
    find_personal_data,
    mask,
)
from corpora.korean.speech import PLAIN, POLITE, SpeechLevel, speech_level
from corpora.records import Candidate, Sample, Verdict
from generators.curation.conversation import (
    IMPORTED,
    asked_text,
    compared_answer,
    spoken_text,
    turns,
    whole_text,
)
from generators.curation.decontamination import Contamination
from generators.curation.filters import FILTERS, FILTERS_VERSION
from generators.curation.flags import flags
from generators.curation.repeats import Repeats
from generators.curation.settings import CurationSettings, Politeness, changed_limits
from generators.speech import EXEMPT, LEVEL
from retrieval.embedders import Embedder, HashedEmbedder
from retrieval.near_duplicates import DuplicateHit, LexicalDuplicates
from retrieval.semantic_duplicates import SemanticDuplicates

__all__ = ["ACCEPTED", "Curator", "cleaned", "duplicate_verdict", "fit_embedder"]

#: Asked of the first turn only: later ones may say "네", point at what was said, or laugh.
FIRST_TURN_FILTERS = frozenset({"needs_no_document", "not_an_echo", "script", "wordless", "length"})
#: Rows whose questions the default embedder's idf is taken from, the first ones that can be read: from 100 texts on
#: retrieval is as good as with all.
FIT_ROWS = 5_000
ACCEPTED = Verdict(stage="accepted", reason="ok")


class Curator:
    """Judges candidates one at a time, in slot order."""

    def __init__(
        self, settings: CurationSettings, embedder: Embedder | None, contamination: Contamination | None = None
    ) -> None:
        self.settings = settings
        self.lexical = LexicalDuplicates(
            settings.near_duplicate_threshold, settings.tokenizer, settings.guards, settings.domain_nouns
        )
        self.semantic = SemanticDuplicates(embedder, settings.semantic_threshold) if embedder is not None else None
        self._contamination = contamination
        self.repeats = Repeats()

    @property
    def versions(self) -> dict[str, str]:
        """What decided, by name: kept with every sample, so that a dataset says how it was made."""
        return {
            "tokenizer": tokenizer_version(self.settings.domain_nouns),
            "filters": f"v{FILTERS_VERSION}{changed_limits(self.settings.limits)}",
            "embedder": "none" if self.semantic is None else self.semantic.fingerprint,
            "semantic_duplicates": "none" if self.semantic is None else f"cosine > {self.semantic.threshold}",
            "contamination": _protection(self._contamination),
            **self.settings.in_force(),
        }

    def clean(self, candidate: Candidate) -> Candidate:
        """The candidate as it will be stored: personal data masked, where the settings say so."""
        return cleaned(candidate, self.settings)

    def judge(self, candidate: Candidate, *, test: bool = False) -> Verdict:
        """Why ``candidate`` is kept or dropped; kept ones must be handed to ``remember``.

        Args:
            candidate: What is judged.
            test: Whether it belongs to the test itself, which cannot give itself away.
        """
        return self.gate(candidate, test=test) or self._duplicate(candidate) or ACCEPTED

    def gate(self, candidate: Candidate, *, test: bool = False) -> Verdict | None:
        """What is wrong with ``candidate`` whatever else was accepted, or None."""
        if candidate.malformed is not None:
            # An importer says itself what is wrong with a row: "broken_json: …".
            imported = candidate.provenance.generator == IMPORTED
            reason = candidate.malformed.split(":", 1)[0] if imported else "malformed_reply"
            return Verdict(stage="parse", reason=reason, evidence={"why": candidate.malformed})
        if candidate.rejection is not None:
            return candidate.rejection
        verdict = self.filtered(candidate) or self.spoken(candidate) or self.private(candidate)
        return verdict if verdict is not None or test else self.leaked(candidate)

    def filtered(self, candidate: Candidate) -> Verdict | None:
        """The first filter that refuses a turn of ``candidate``."""
        for number, (turn, limits) in enumerate(turns(candidate, self.settings.limits)):
            for name, check in FILTERS.items():
                if number and name in FIRST_TURN_FILTERS:
                    continue
                verdict = check(turn, limits)
                if verdict is not None:
                    return verdict if not number else replace(verdict, evidence=verdict.evidence | {"turn": number})
        return None

    def spoken(self, candidate: Candidate) -> Verdict | None:
        """A turn that does not hold the speech level that its role must."""
        for role, part in (("user", "question"), ("assistant", "answer")):
            wanted = self._level(candidate, role)
            if wanted == "any":
                continue
            for message in candidate.messages:
                if message.role != role:
                    continue
                level = speech_level(spoken_text(candidate, message))
                fits = level in (POLITE if wanted == "polite" else PLAIN)
                # A label or a code is an answer to a free task and has no speech level.
                undecided = not candidate.grounded and level in (SpeechLevel.NEUTRAL, SpeechLevel.NOMINAL)
                if not fits and not undecided:
                    evidence = {"level": level.value}
                    return Verdict(stage="speech_level", reason=f"{part}_not_{wanted}", evidence=evidence)
        return None

    def _level(self, candidate: Candidate, role: str) -> Politeness:
        """The level that ``role`` must hold: the settings', unless the candidate's slot asked for another."""
        traits = candidate.provenance.traits
        if role == "assistant" and traits.get(EXEMPT):
            return "any"
        wanted: Politeness = self.settings.speech_level.get(role, "any")
        return traits.get(LEVEL, wanted) if role == "user" else wanted

    def private(self, candidate: Candidate) -> Verdict | None:
        """Personal data that certainly is some, where the settings reject it."""
        if self.settings.personal_data is not PersonalDataAction.REJECT:
            return None
        found = [entry for m in candidate.messages for entry in confident(find_personal_data(m.content))]
        if not found:
            return None
        return Verdict(stage="personal_data", reason="personal_data", evidence={"found": _kinds(found)})

    def leaked(self, candidate: Candidate) -> Verdict | None:
        """What gives a protected text away."""
        if self._contamination is None:
            return None
        return self._contamination.find(asked_text(candidate), whole_text(candidate))

    def flags(self, candidate: Candidate) -> dict[str, Any]:
        """What is worth knowing of a readable candidate and drops nothing."""
        if candidate.malformed is not None:
            return {}
        raised: dict[str, Any] = dict(flags(candidate, self.settings.limits))
        found = [entry for m in candidate.messages for entry in find_personal_data(m.content)]
        if found:
            raised["personal_data"] = {"found": _kinds(found)}
        if self.settings.personal_data is PersonalDataAction.MASK:
            masked = [
                kind for kind, place in PLACEHOLDERS.items() if any(place in m.content for m in candidate.messages)
            ]
            raised |= {"masked_personal_data": {"kinds": masked}} if masked else {}
        return raised

    def remember(self, sample: Sample) -> None:
        """Later candidates must differ from this accepted sample."""
        candidate = sample.candidate
        self.repeats.add(sample.id, candidate)
        # Its variants, which are made later, name it as their group.
        row = (asked_text(candidate), compared_answer(candidate), candidate.group_id or sample.id)
        self.lexical.add(sample.id, *row)
        if self.semantic is not None:
            self.semantic.add(sample.id, *row)

    def remember_seed(self, task: SeedTask) -> None:
        """Later candidates must differ from this seed task."""
        self.lexical.add(task.id, task.instruction)
        if self.semantic is not None:
            self.semantic.add(task.id, task.instruction)

    def _duplicate(self, candidate: Candidate) -> Verdict | None:
        copy = self.repeats.find(candidate)
        if copy is not None:
            return copy
        hit = self.lexical.find(asked_text(candidate), compared_answer(candidate), candidate.group_id)
        if hit is not None:
            return duplicate_verdict("near_duplicate", hit, self.settings.near_duplicate_threshold)
        if self.semantic is None:
            return None
        hit = self.semantic.find(asked_text(candidate), compared_answer(candidate), candidate.group_id)
        if hit is not None:
            return duplicate_verdict("semantic_duplicate", hit, str(self.semantic.threshold))
        return None


def cleaned(candidate: Candidate, settings: CurationSettings) -> Candidate:
    """``candidate`` as it will be stored; the same again for one that is stored already."""
    if settings.personal_data is not PersonalDataAction.MASK:
        return candidate
    messages = tuple(replace(m, content=_masked(m.content)) for m in candidate.messages)
    return candidate if messages == candidate.messages else replace(candidate, messages=messages)


def fit_embedder(candidates: Iterable[Candidate], settings: CurationSettings) -> HashedEmbedder:
    """The default embedder with the idf of the first ``FIT_ROWS`` candidates that can be read, as they will be stored.

    As stored, not as they came: a run that goes on after some rows were masked must find the same vectors.
    """
    readable = (candidate for candidate in candidates if candidate.malformed is None)
    return HashedEmbedder.fit([asked_text(cleaned(candidate, settings)) for candidate in islice(readable, FIT_ROWS)])


def duplicate_verdict(stage: str, hit: DuplicateHit, threshold: str) -> Verdict:
    """The verdict on a candidate that repeats ``hit``."""
    evidence: dict[str, object] = {"of": hit.key, "question": hit.question, "threshold": threshold}
    if hit.answer_score is not None:
        evidence["answer_score"] = round(hit.answer_score, 4)
    return Verdict(stage=stage, reason=stage, score=round(hit.score, 4), evidence=evidence)


def _protection(contamination: Contamination | None) -> str:
    if contamination is None:
        return "none"
    return (
        f"runs of {contamination.ngram} morphemes over {contamination.coverage} of a text, "
        f"questions > {contamination.threshold}"
    )


def _masked(text: str) -> str:
    """``text`` with its certain personal data masked, and what a masked neighbour makes certain too.

    So that masking again changes nothing: what a run decides must not depend on how far an earlier one came.
    """
    while (masked := mask(text, confident(find_personal_data(text)))) != text:
        text = masked
    return text


def _kinds(found: Iterable[PersonalData]) -> list[dict[str, str]]:
    """What was found, without the numbers themselves: a ledger of rejections must not become a list of people."""
    return [{"kind": entry.kind, "confidence": entry.confidence} for entry in found][:10]
