"""The speech contract of a job: how the user side speaks in each slot, how the assistant answers, and mending by rule.

The user's level is a function of the slot's seed, so that a job mixes plain and polite questions by ratio and mixes
them the same way again. ``mend`` changes what a candidate says only where ``corpora.korean.speech_conversion`` calls it
safe; what it can't mend, the curator rejects. Prompts ask for the level themselves; this room only checks and mends.

Use::

    contract = SpeechContract(user="mixed", plain_share="0.3")
    plan = restore_plan(slots, seed, contract)
    candidate = mend(with_level(candidate, plan[0].user_level), contract.assistant)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from corpora.korean.speech import PLAIN, POLITE, SpeechLevel, sentence_levels, speech_level
from corpora.korean.speech_conversion import convert
from corpora.records import Candidate, Message
from generators.base import UserLevel
from generators.curation.conversation import spoken_text

__all__ = ["EXEMPT", "LEVEL", "MENDED", "SpeechContract", "mend", "user_level", "with_level"]

#: Traits of a candidate: the level asked of its user side, that its answer follows another rule, and what was mended.
LEVEL, EXEMPT, MENDED = "user_level", "speech_exempt", "speech_mended"

_RESOLUTION = 2**64


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechContract:
    """What a job promises of both sides."""

    user: Literal["any", "plain", "polite", "mixed"] = "any"  #: ``mixed`` decides in each slot.
    plain_share: str = "0.5"  #: Share of the slots with plain questions under ``mixed``, as a decimal.
    assistant: Literal["any", "plain", "polite"] = "polite"  #: The level of every answer.


def user_level(contract: SpeechContract, seed: int) -> UserLevel:
    """How the user side speaks in the slot of this seed."""
    if contract.user != "mixed":
        return contract.user
    digest = hashlib.sha256(f"{seed}:user_level".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big")
    return "plain" if drawn < Fraction(contract.plain_share) * _RESOLUTION else "polite"


def with_level(candidate: Candidate, level: UserLevel) -> Candidate:
    """``candidate`` with the level that its slot asked of the user side, unless its generator has set one itself."""
    traits = candidate.provenance.traits
    if level == "any" or LEVEL in traits:
        return candidate
    return replace(candidate, provenance=replace(candidate.provenance, traits={**traits, LEVEL: level}))


def mend(candidate: Candidate, assistant: Literal["any", "plain", "polite"]) -> Candidate:
    """``candidate`` with the endings of turns that miss their level replaced, where that is safe.

    What a turn said before is kept in the trait ``speech_mended``, one entry a changed turn.
    """
    traits = candidate.provenance.traits
    wanted = {"user": traits.get(LEVEL, "any"), "assistant": "any" if traits.get(EXEMPT) else assistant}
    messages: list[Message] = []
    mended: list[dict[str, Any]] = []
    for turn, message in enumerate(candidate.messages):
        said = spoken_text(candidate, message)
        text = _mended(said, wanted.get(message.role, "any"))
        if text is not None:
            text += message.content[len(said) :]
            mended.append({"turn": turn, "original": message.content})
            message = replace(message, content=text)  # noqa: PLW2901 - the mended turn takes its place
        messages.append(message)
    if not mended:
        return candidate
    provenance = replace(candidate.provenance, traits={**traits, MENDED: mended})
    return replace(candidate, messages=tuple(messages), provenance=provenance)


def _mended(text: str, wanted: str) -> str | None:
    """``text`` at the wanted level, or None: it has that level, has none at all, or can't be changed safely."""
    if wanted == "any":
        return None
    fitting = POLITE if wanted == "polite" else PLAIN
    level = speech_level(text)
    if level in fitting or level in (SpeechLevel.NEUTRAL, SpeechLevel.NOMINAL):
        return None
    found = convert(text, _target(text, fitting))
    return found.text if found.changed and speech_level(found.text) in fitting else None


def _target(text: str, fitting: frozenset[SpeechLevel]) -> SpeechLevel:
    """The fitting level that most sentences hold already; else formal polite, or intimate as people ask friends."""
    held = [level for level in sentence_levels(text) if level in fitting]
    if held:
        return max(sorted(set(held)), key=held.count)
    return SpeechLevel.HAPSYO if fitting is POLITE else SpeechLevel.HAE
