"""Which sample a slot of ``speech_variants`` works on: a row of the job's source, or one of the job's own, each once.

Slots run side by side and can't see what their neighbours choose. Slot *n*, whose newest visible sample stems from slot
*s*, knows that the window is at most *n - s*, takes the smallest power of seven that is no smaller as its modulus, and
chooses among the samples whose hash equals *n* by that modulus. Powers of one number divide each other, so two slots
that may choose the same sample are at least the smaller modulus apart, hence no less than a window, and the later one
sees what the earlier has made. Seven, because generators that take turns in twos, threes or fives would never meet
some of the samples with those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corpora.korean.speech import is_polite
from corpora.records import Candidate, Message, Provenance, Sample
from generators.base import PoolView, SlotPlan, SourceItem

__all__ = ["PARENT", "Original", "choose", "of_item", "unfit"]

#: Trait that names the sample a variant was made of.
PARENT = "parent_id"
_BASE = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """A sample whose question is to be said in other ways."""

    id: str  #: Of the sample or row.
    messages: tuple[Message, ...]  #: The whole conversation.
    group_id: str  #: What it shares with its variants.
    origin: Provenance | None = None  #: Its own provenance, where it is known.
    grounded: bool = False  #: Whether it rests on documents.


def of_item(item: SourceItem) -> Original:
    """A row of the job's source."""
    return Original(
        id=item.id,
        messages=item.messages,
        group_id=item.group or item.id,
        origin=item.origin,
        grounded=item.grounded,
    )


def unfit(original: Original) -> str | None:
    """Why no variant can be made: no single question and answer, a question or an answer that is not polite."""
    turns = [message for message in original.messages if message.role != "system"]
    if [message.role for message in turns] != ["user", "assistant"]:
        return "not_one_question_and_answer"
    if not is_polite(turns[0].content.split("\n\n", 1)[0]):
        return "question_not_polite"
    return None if is_polite(turns[1].content) else "answer_not_polite"


def choose(plan: SlotPlan, pool: PoolView, name: str) -> Original | None:
    """A sample of the job that no other slot works on and that has no variant yet, or None."""
    accepted = pool.accepted()
    if not accepted:
        return None
    modulus = _BASE
    while modulus < plan.slot - max(sample.candidate.provenance.slot for sample in accepted):
        modulus *= _BASE
    for sample in _open(accepted, name):
        if _number(sample.candidate.question) % modulus == plan.slot % modulus:
            original = _of_sample(sample)
            if unfit(original) is None:
                return original
    return None


def _open(accepted: Sequence[Sample], name: str) -> Iterator[Sample]:
    """Training samples of other generators without a variant; a test sample's variant would give it away."""
    done = {s.candidate.provenance.traits.get(PARENT) for s in accepted if s.candidate.provenance.generator == name}
    for sample in accepted:
        if sample.split == "train" and sample.candidate.provenance.generator != name and sample.id not in done:
            yield sample


def _of_sample(sample: Sample) -> Original:
    candidate: Candidate = sample.candidate
    return Original(
        id=sample.id,
        messages=candidate.messages,
        group_id=candidate.group_id or sample.id,
        origin=candidate.provenance,
        grounded=candidate.grounded,
    )


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
