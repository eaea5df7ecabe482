"""What requests say about curation, and the settings that it becomes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.services.labels import Label
from corpora.korean.personal_data import PersonalDataAction
from generators.curation.settings import CurationSettings, import_settings

__all__ = ["BulkCurationRequest", "CurationRequest", "SpeechLevelRequest", "curation_settings"]

Threshold = Annotated[float, Field(gt=0.0, le=1.0)]
Level = Literal["any", "polite", "plain"]


class SpeechLevelRequest(BaseModel):
    """Which speech level each side must hold."""

    model_config = ConfigDict(extra="forbid")
    user: Level = "any"
    assistant: Level = "polite"


class AnyLevelRequest(SpeechLevelRequest):
    """The same for datasets that others have made: any level, unless asked."""

    assistant: Level = "any"


class CurationRequest(BaseModel):
    """Thresholds of curation; ``semantic_threshold`` null is the embedder's calibrated value."""

    model_config = ConfigDict(extra="forbid")
    near_duplicate_threshold: Threshold = 0.7
    semantic_threshold: Threshold | None = None
    tokenizer: Literal["content_morphemes", "morpheme", "whitespace", "character", "english"] = "content_morphemes"
    guards: list[Literal["negation", "noun_substitution"]] = Field(
        ["negation", "noun_substitution"],
        description="What parts rows that share their words: a negation, a noun of its own.",
    )
    domain_nouns: Annotated[list[Annotated[Label, Field(max_length=40)]], Field(max_length=10_000)] = []
    personal_data: PersonalDataAction = PersonalDataAction.FLAG
    speech_level: SpeechLevelRequest = SpeechLevelRequest()


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
        "speech_level": {"user": request.speech_level.user, "assistant": request.speech_level.assistant},
    }
    if isinstance(request, BulkCurationRequest):
        changes["keep"] = request.keep
        if not generated:
            return import_settings(**changes)
        if "speech_level" not in request.model_fields_set:
            del changes["speech_level"]
    return CurationSettings(**changes)
