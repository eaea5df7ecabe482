"""What requests say about curation, and the settings that it becomes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from app.services.labels import Label
from corpora.korean.personal_data import PersonalDataAction
from generators.curation.settings import CurationSettings, import_settings

__all__ = [
    "BulkCurationRequest",
    "CurationRequest",
    "GenerationCurationRequest",
    "SpeechLevelRequest",
    "curation_settings",
]

Threshold = Annotated[float, Field(gt=0.0, le=1.0)]
Level = Literal["any", "polite", "plain"]
_LEVELS = get_args(Level)
#: The names of ``retrieval.guards.GUARDS``; a test keeps both in step.
Guard = Literal["negation", "noun_substitution", "opposites", "argument_order", "predicate_substitution"]


class SpeechLevelRequest(BaseModel):
    """Which speech level each side must hold."""

    model_config = ConfigDict(extra="forbid")
    user: Level = "any"
    assistant: Level = "polite"


class AnyLevelRequest(SpeechLevelRequest):
    """The same for datasets that others have made: any level, unless asked."""

    assistant: Level = "any"


class MixedLevelRequest(SpeechLevelRequest):
    """The same for what is generated, where each slot may ask for its own level."""

    user: Literal["any", "polite", "plain", "mixed"] = Field(  # type: ignore[assignment]  # one more than its parent
        "any", description="`mixed` makes plain and polite questions by ratio."
    )
    plain_share: float = Field(0.5, ge=0.0, le=1.0, description="Share of plain questions under `mixed`.")


class CurationRequest(BaseModel):
    """Thresholds of curation; ``semantic_threshold`` null is the embedder's calibrated value."""

    model_config = ConfigDict(extra="forbid")
    near_duplicate_threshold: Threshold = 0.7
    semantic_threshold: Threshold | None = None
    tokenizer: Literal["content_morphemes", "morpheme", "whitespace", "character", "english"] = "content_morphemes"
    guards: list[Guard] = Field(
        ["negation", "noun_substitution", "opposites", "argument_order"],
        description="What parts rows that share their words: a negation, a noun or predicate of its own, an opposite, "
        "who does what to whom.",
    )
    domain_nouns: Annotated[list[Annotated[Label, Field(max_length=40)]], Field(max_length=10_000)] = []
    personal_data: PersonalDataAction = PersonalDataAction.FLAG
    speech_level: SpeechLevelRequest = SpeechLevelRequest()


class GenerationCurationRequest(CurationRequest):
    """Curation of what a job generates."""

    speech_level: MixedLevelRequest = MixedLevelRequest()


class BulkCurationRequest(CurationRequest):
    """Curation of rows that are all there beforehand."""

    speech_level: SpeechLevelRequest = AnyLevelRequest()
    semantic: bool = Field(True, description="Whether near-duplicates by meaning are looked for too.")
    keep: Literal["first", "best"] = Field("first", description="Which of two near-duplicates stays.")


def curation_settings(request: CurationRequest, *, generated: bool = False) -> CurationSettings:
    """The settings that ``request`` asks for.

    Args:
        request: What a client sent.
        generated: Whether rows that are all there were generated: what the request leaves open is then as for
            generation, else as for imports.
    """
    changes: dict[str, Any] = {
        # The shortest decimal of the float is what the client wrote.
        "near_duplicate_threshold": str(request.near_duplicate_threshold),
        "semantic_threshold": request.semantic_threshold,
        "tokenizer": request.tokenizer,
        "guards": tuple(dict.fromkeys(request.guards)),
        "domain_nouns": tuple(request.domain_nouns),
        "personal_data": request.personal_data,
        "speech_level": {
            # Under a mix, each slot says which level it asked for.
            "user": "any" if request.speech_level.user not in _LEVELS else request.speech_level.user,
            "assistant": request.speech_level.assistant,
        },
    }
    if isinstance(request, BulkCurationRequest):
        changes["keep"] = request.keep
        if not generated:
            return import_settings(**changes)
        if "speech_level" not in request.model_fields_set:
            del changes["speech_level"]
    return CurationSettings(**changes)
