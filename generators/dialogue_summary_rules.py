"""What a summary or a diary entry must not do: leak labels, invent names or numbers, copy, change person or language.

Pure functions of the text and the dialogue; each gives a verdict with its evidence, or None where it sees no fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from corpora.korean.analyse import tokens
from corpora.korean.script import foreign_runs, hangul_share
from corpora.korean.speech import SpeechLevel, sentence_levels
from corpora.records import Verdict
from generators.dialogue_summary_text import Dialogue
from generators.grounding_injection import repeated
from generators.rag_gates import unsupported_number

__all__ = ["Bounds", "Kind", "summary_fault"]

Kind = Literal["summary", "diary"]

_BLANK = re.compile(r"\s+")
_MARKS = re.compile(r"[\W_]+")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_./][A-Za-z0-9]+)*")
#: Letters of the text that must be Hangul: a summary of a chat about "iPhone 15" may name it.
_MIN_HANGUL = 0.6
#: Pronouns for Kiwi, and 내 and 제 in front of what one owns, which it calls modifiers.
_FIRST = frozenset({"나", "저", "우리", "저희", "내", "제"})
_PARTICLE = r"(?:이?[은는가]|이|께서|씨[는가]|님[은이])(?=\s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Limits of a summary."""

    min_chars: int  #: Shortest, blanks included.
    max_ratio: float  #: Longest, as a share of what is said in the dialogue.
    max_copied: int  #: Longest run that may stand in the dialogue letter by letter, blanks and marks not counted.


def summary_fault(
    text: str, dialogue: Dialogue, kind: Kind, level: SpeechLevel, bounds: Bounds, writer: str | None = None
) -> Verdict | None:
    """The first fault of a summary or diary entry.

    Args:
        text: what the model wrote.
        dialogue: what it is about.
        kind: summary or diary entry.
        level: its speech level.
        bounds: its limits.
        writer: the speaker whose diary it is.
    """
    return (
        _length(text, dialogue, bounds)
        or _language(text)
        or _labels(text, dialogue)
        or _level(text, level)
        or _copied(text, dialogue, bounds.max_copied)
        or _names(text, dialogue)
        or _obeyed(text, dialogue)
        or unsupported_number(text, _people(dialogue), [dialogue.text])
        or (_person(text, writer) if kind == "diary" else None)
    )


def _refused(reason: str, score: float | None = None, *, grounding: bool = False, **evidence: Any) -> Verdict:
    return Verdict(stage="grounding" if grounding else "filter", reason=reason, score=score, evidence=evidence)


def _length(text: str, dialogue: Dialogue, bounds: Bounds) -> Verdict | None:
    if len(text) < bounds.min_chars:
        return _refused("summary_too_short", len(text), limit=bounds.min_chars)
    ratio = len(text) / len(dialogue.said)
    return _refused("summary_too_long", round(ratio, 4), limit=bounds.max_ratio) if ratio > bounds.max_ratio else None


def _language(text: str) -> Verdict | None:
    share, foreign = hangul_share(text), foreign_runs(text)
    if share < _MIN_HANGUL:
        return _refused("not_korean", round(share, 4), limit=_MIN_HANGUL)
    return _refused("foreign_script", found=foreign[:5]) if foreign else None


def _labels(text: str, dialogue: Dialogue) -> Verdict | None:
    """A line that opens with a speaker, or the code of one who has no name."""
    for speaker in dialogue.speakers:
        if re.search(rf"^\W*{re.escape(speaker)}\s*[:：]", text, re.MULTILINE):
            return _refused("speaker_label", label=speaker)
    for speaker in dialogue.anonymous:
        if re.search(rf"(?<![A-Za-z0-9가-힣]){re.escape(speaker)}(?![A-Za-z0-9])", text) and not speaker.isdigit():
            return _refused("speaker_label", label=speaker)
    return None


def _level(text: str, level: SpeechLevel) -> Verdict | None:
    found = {one for one in sentence_levels(text) if one not in (SpeechLevel.NEUTRAL, SpeechLevel.NOMINAL)}
    if found == {level}:
        return None
    return _refused("level_missed", wanted=level.value, found=sorted(one.value for one in found))


def _copied(text: str, dialogue: Dialogue, limit: int) -> Verdict | None:
    run = _longest_run(_MARKS.sub("", text), _MARKS.sub("", dialogue.said))
    return _refused("copied_from_dialogue", len(run), limit=limit, run=run[:80]) if len(run) > limit else None


def _longest_run(text: str, source: str) -> str:
    """The longest piece of ``text`` that stands in ``source``; the first on ties."""
    best = ""
    for start in range(len(text)):
        while start + len(best) < len(text) and text[start : start + len(best) + 1] in source:
            best = text[start : start + len(best) + 1]
    return best


def _names(text: str, dialogue: Dialogue) -> Verdict | None:
    """Proper nouns and Latin words that nobody in the dialogue uses; speakers' names count as used."""
    dense = _BLANK.sub("", dialogue.text).lower()
    named = [m.form for m in tokens(text) if m.tag == "NNP" and len(m.form) > 1]
    unknown = _unknown([*named, *_CODE.findall(text)], dense)
    return _refused("name_not_in_dialogue", grounding=True, names=unknown[:10]) if unknown else None


def _obeyed(text: str, dialogue: Dialogue) -> Verdict | None:
    """Words that only orders to a model have; each line is a turn, and those behind an order are honest."""
    words = repeated(text, dialogue.text.splitlines())
    return _refused("repeats_an_instruction", grounding=True, words=words[:10]) if words else None


def _people(dialogue: Dialogue) -> str:
    """How many of its speakers a summary may speak of (두 사람)."""
    return " ".join(f"{number}명" for number in range(1, len(dialogue.speakers) + 1))


def _unknown(names: Iterable[str], dense: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if _BLANK.sub("", name).lower() not in dense]


def _person(text: str, writer: str | None) -> Verdict | None:
    """A diary that never says 나, or speaks of its writer as of somebody else."""
    if not any(m.form in _FIRST and m.tag in ("NP", "MM") for m in tokens(text)):
        return _refused("diary_not_first_person")
    if writer and re.search(rf"(?<![가-힣A-Za-z0-9]){re.escape(writer)}{_PARTICLE}", text):
        return _refused("diary_third_person", writer=writer)
    return None
