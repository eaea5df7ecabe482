"""Reads a dialogue out of a row, a passage or a conversation: who speaks and what is said.

A dialogue is lines of the form ``speaker: text``; lines without a speaker go on with the turn above. Knows the forms in
which AI Hub and NIKL dialogues are imported (a request, a blank line, the dialogue); nothing of summaries.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from corpora.korean.speech import PLAIN, POLITE, text_level
from corpora.records import Chunk
from generators.base import SourceItem

__all__ = ["Dialogue", "of_chunk", "of_item", "parse"]

#: A label is short and no number of its own: "10:30 입고" is a time, "P01: 네", "김 대리: 네" and "1: 네" are turns.
_TURN = re.compile(r"^[ \t]*([^\s:：|#>*\-][^:：\n|]{0,14}?)[ \t]*[:：](?:[ \t]+|(?=[^\d\s/]))(\S.*)$")
#: Labels that stand for a person without naming one: P01, SD2000001, speaker_1, 화자2, A, 1.
_ANONYMOUS = re.compile(r"(?:[A-Za-z]|[A-Za-z]{1,8}[-_ ]?\d+|화자 ?\d+|참여자 ?\d+|발화자 ?\d+|\d+)")
#: Turns that make a dialogue, and the share of a passage's lines that must be turns.
_MIN_TURNS = 4
_MIN_SHARE = 0.6
#: Share of a passage's turns that hold a sentence with a final ending.
_MIN_SPOKEN = 0.5
#: What the turns of a conversation without speakers are called.
_ROLES = {"user": "A", "assistant": "B"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialogue:
    """Turns of at least two speakers."""

    turns: tuple[tuple[str, str], ...]  #: Speaker and what is said, in order.

    @property
    def text(self) -> str:
        """One line a turn: ``speaker: text``."""
        return "\n".join(f"{speaker}: {said}" for speaker, said in self.turns)

    @property
    def said(self) -> str:
        """What is said, without the speakers."""
        return "\n".join(said for _, said in self.turns)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Speakers in the order in which they first speak."""
        return tuple(dict.fromkeys(speaker for speaker, _ in self.turns))

    @property
    def anonymous(self) -> tuple[str, ...]:
        """Speakers whose label is no name."""
        return tuple(speaker for speaker in self.speakers if _ANONYMOUS.fullmatch(speaker))


def of_item(item: SourceItem) -> Dialogue | None:
    """The dialogue of a row: its text, what stands below its request, or its own turns where it has several."""
    users = [message for message in item.messages if message.role == "user"]
    if len(users) > 1:
        spoken = [(m.role, m.content) for m in item.messages if m.role != "system"]
        return _dialogue([(_ROLES[role], " ".join(said.split())) for role, said in spoken])
    for text in (item.text, *(message.content for message in users)):
        request, blank, rest = text.partition("\n\n")
        for part in (text, rest) if blank and not _TURN.match(request.split("\n", 1)[0]) else (text,):
            found = parse(part)
            if found is not None:
                return found
    return None


def of_chunk(chunk: Chunk) -> Dialogue | None:
    """The dialogue that a passage is, its headings aside, or None: most passages are none.

    Fields of a form ("상태: 정상") look like turns; people mostly speak in sentences.
    """
    lines = [line for line in chunk.text.split("\n") if not line.lstrip().startswith("#")]
    found = parse("\n".join(lines))
    if found is None:
        return None
    spoken = sum(text_level(said) in POLITE | PLAIN for _, said in found.turns)
    return found if spoken >= _MIN_SPOKEN * len(found.turns) else None


def parse(text: str) -> Dialogue | None:
    """The dialogue that ``text`` is, or None: too few turns, one speaker, or mostly something else.

    A label that occurs once may be any word with a colon ("주의: …"), so two must occur twice.
    """
    lines = [line for line in unicodedata.normalize("NFC", text).split("\n") if line.strip()]
    turns: list[tuple[str, list[str]]] = []
    matched = 0
    for line in lines:
        match = _TURN.match(line)
        if match:
            matched += 1
            turns.append((match.group(1), [match.group(2).strip()]))
        elif turns:
            turns[-1][1].append(line.strip())
        else:
            return None
    counted = Counter(speaker for speaker, _ in turns)
    if matched < _MIN_SHARE * len(lines) or sum(count > 1 for count in counted.values()) < 2:
        return None
    return _dialogue([(speaker, " ".join(said)) for speaker, said in turns])


def _dialogue(turns: list[tuple[str, str]]) -> Dialogue | None:
    kept = tuple((speaker, said) for speaker, said in turns if said.strip())
    if len(kept) < _MIN_TURNS or len({speaker for speaker, _ in kept}) < 2:
        return None
    return Dialogue(turns=kept)
