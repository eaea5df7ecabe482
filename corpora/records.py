"""The typed records that move through the house: Document, Chunk, Message, Provenance, Candidate, Verdict, Sample.

All frozen and keyword-only; changed only through ``dataclasses.replace``. Knows nothing of how they are made or
stored. Offsets are Python string indexes (code points) into the document's NFC text, half open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Candidate", "Chunk", "Document", "Message", "Provenance", "Role", "Sample", "Span", "Verdict"]

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One uploaded text, decoded and normalised."""

    id: str  #: Stable id, ``doc_…``.
    title: str  #: First heading, else the file name without its suffix.
    text: str  #: The whole text in NFC with ``\n`` line ends; every offset points into it.
    media_type: str  #: ``text/markdown`` or ``text/plain``.
    heldout: bool = False  #: True when samples made from it belong to the test split.


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A passage of one document; ``document.text[start:end] == text`` always."""

    id: str  #: Stable id, ``chunk_…``; of document, headings, text and its count among equal ones before it.
    document_id: str  #: The document it is cut from.
    index: int  #: Position among the document's chunks, from 0.
    text: str  #: The passage itself.
    start: int  #: Offset of its first character.
    end: int  #: Offset behind its last character.
    headings: tuple[str, ...] = ()  #: Heading path from the title down to the section it stands in.


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role  #: Who speaks.
    content: str  #: What is said, NFC.
    weight: int | None = None  #: 0 where an assistant turn is not trained, 1 where it is; None says nothing: trained.


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A half-open range of a document's text that an answer rests on."""

    document_id: str  #: The document it points into.
    start: int  #: Offset of its first character.
    end: int  #: Offset behind its last character.


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where a candidate came from, completely enough to make it again."""

    generator: str  #: Name of the generator.
    slot: int  #: Number of the slot that produced it.
    model: str | None = None  #: Language model, where one was asked.
    prompt: str | None = None  #: Prompt or rule, ``name@version#hash``.
    document_id: str | None = None  #: Source document, where grounded.
    chunk_ids: tuple[str, ...] = ()  #: Chunks that were shown or quoted, the source chunk first.
    spans: tuple[Span, ...] = ()  #: The ranges of the source that the answer rests on.
    seed_ids: tuple[str, ...] = ()  #: Seed tasks that stood in the prompt.
    group: str | None = None  #: Article or dialogue of an imported row; a split never parts one.
    versions: dict[str, str] = field(default_factory=dict)  #: Tokenizer, filters and the like by name.
    traits: dict[str, Any] = field(default_factory=dict)  #: What was planned for it: question type, persona, operation.


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What a generator proposes, before anyone has judged it.

    A reply that could not be parsed is a candidate too: ``messages`` empty and ``malformed`` saying why.
    """

    messages: tuple[Message, ...]  #: The conversation, system turn first where there is one.
    provenance: Provenance  #: Where it came from.
    grounded: bool = False  #: True when the answer rests on document chunks (duplicates need question and answer).
    malformed: str | None = None  #: Why the reply could not be read; None for a readable one.
    raw: str | None = None  #: The reply that could not be read, for the ledger of rejections.
    rejection: Verdict | None = None  #: A verdict reached by the generator's own gates; None where it saw no fault.
    group_id: str | None = None  #: Variants of one row (speech levels, wordings) share it and are never duplicates.

    @property
    def question(self) -> str:
        """The first user turn, or the empty string."""
        return next((m.content for m in self.messages if m.role == "user"), "")

    @property
    def answer(self) -> str:
        """The last assistant turn, or the empty string."""
        return next((m.content for m in reversed(self.messages) if m.role == "assistant"), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Why a candidate was kept or dropped."""

    stage: str  #: ``parse``, ``filter``, ``grounding``, ``near_duplicate``, ``semantic_duplicate`` or ``accepted``.
    reason: str  #: Machine-readable reason such as ``near_duplicate`` or ``answer_too_short``; ``ok`` when kept.
    score: float | None = None  #: The number that decided, where there is one.
    evidence: dict[str, Any] = field(default_factory=dict)  #: What was hit: neighbour, pattern, limit.


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A judged candidate: accepted into the dataset or kept beside it with its reason."""

    id: str  #: Stable id, ``sample_…``; the same job, slot and position give the same id.
    candidate: Candidate  #: What was judged.
    accepted: bool  #: Whether it belongs to the dataset.
    verdict: Verdict  #: The judgement.
    split: Literal["train", "test"] = "train"  #: ``test`` when made from a held-out document.
    flags: dict[str, Any] = field(default_factory=dict)  #: What was noticed without rejecting it: name -> evidence.
