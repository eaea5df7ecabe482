"""What both methods drop: by the published English rules, and by the Korean profile that mends them.

The English rules drop every instruction that begins in Hangul, call "재고 실사란 무엇인가요?" too short (three words)
and miss "이미지를" (the particle belongs to the word). Korean lengths are in characters, and what a model of text can't
do is matched by stems with blanks removed. Novelty against seeds and pool is the curator's. Knows no parser, no prompt.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from corpora.records import Verdict

__all__ = [
    "ALPACA_BLACKLIST",
    "BLOCKED_STEMS",
    "BOOTSTRAP_BLACKLIST",
    "MAX_INSTANCES",
    "Pair",
    "common_faults",
    "english_instruction_fault",
    "english_pair_fault",
    "korean_instruction_fault",
    "korean_pair_fault",
    "refused",
]

#: Instances kept of one instruction (self-instruct, prepare_for_finetuning).
MAX_INSTANCES = 5
#: Words of the published filters; Alpaca's list is the longer one.
BOOTSTRAP_BLACKLIST = (
    "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot",
    "go to",
)  # fmt: skip
ALPACA_BLACKLIST = (*BOOTSTRAP_BLACKLIST, "video", "audio", "music", "flowchart", "diagram")
#: Stems of what a model of text can't do, so that "그림을 그려" and "그림을그리세요" hit. 파일, 지도 and 그래프 alone
#: are ordinary words of a warehouse and stay allowed, other than in the English list.
BLOCKED_STEMS = (
    "그림을그", "이미지를그", "이미지를생성", "이미지를만들", "사진을찍", "사진을보", "사진을첨부", "그래프를그",
    "차트를그",
    "순서도를그", "다이어그램을그", "지도를그", "영상을보", "영상을만들", "동영상", "노래를불", "음악을들",
    "음악을재생",
    "녹음을", "음성을", "첨부된", "첨부한", "링크를열", "링크를클릭", "웹사이트에접속", "인터넷에서검색",
    "인터넷에서찾",
)  # fmt: skip
_PLACEHOLDER = re.compile(r"\A(?:<?noinput>?|없음|해당\s?없음|n/?a|none|null|-)\.?\Z", re.IGNORECASE)
_FIRST_CHARACTER = re.compile(r"[가-힣A-Za-z0-9\"'“‘(\[<「『]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """An instance of an instruction."""

    input: str  #: Material; may be empty.
    output: str  #: The answer.


def refused(reason: str, score: float | None = None, **evidence: str | int) -> Verdict:
    """A verdict of these filters."""
    return Verdict(stage="filter", reason=reason, score=score, evidence=dict(evidence))


def english_instruction_fault(instruction: str, blacklist: Sequence[str]) -> Verdict | None:
    """The first published rule that drops ``instruction``; the order is the publication's."""
    words = len(instruction.split())
    if words <= 3:
        return refused("instruction_too_short", words, limit=4)
    if words > 150:
        return refused("instruction_too_long", words, limit=150)
    for word in blacklist:
        if re.search(rf"\b({word})\b", instruction, re.IGNORECASE):
            return refused("not_for_text_model", word=word)
    if instruction.startswith("Write a program"):
        return refused("write_a_program")
    first = instruction[0]
    if first not in string.punctuation and first.isascii():
        return None
    return refused("starts_with_punctuation" if first.isascii() else "starts_with_non_ascii", character=first)


def english_pair_fault(pair: Pair) -> Verdict | None:
    """The first rule of prepare_for_finetuning that drops an instance by itself."""
    if pair.input == pair.output:
        return refused("output_repeats_input")
    if pair.output == "":
        return refused("empty_output")
    if pair.input.strip().endswith(":") or pair.output.strip().endswith(":"):
        return refused("unfinished", input=pair.input[-20:], output=pair.output[-20:])
    return None


def korean_instruction_fault(instruction: str, shortest: int, longest: int, stems: Sequence[str]) -> Verdict | None:
    """What is wrong with a Korean instruction; lengths in characters, ``stems`` without blanks."""
    length = len(instruction)
    if length < shortest:
        return refused("instruction_too_short", length, limit=shortest)
    if length > longest:
        return refused("instruction_too_long", length, limit=longest)
    if not _FIRST_CHARACTER.match(instruction):
        return refused("bad_first_character", character=instruction[0])
    dense = "".join(instruction.split())
    stem = next((stem for stem in stems if stem in dense), None)
    return None if stem is None else refused("not_for_text_model", stem=stem)


def korean_pair_fault(instruction: str, pair: Pair) -> Verdict | None:
    """What is wrong with a Korean instance by itself."""
    if _PLACEHOLDER.match(pair.input):
        return refused("placeholder_input", input=pair.input)
    if not pair.output:
        return refused("empty_output")
    if pair.output in (pair.input, instruction):
        return refused("output_repeats_task")
    for name, text in (("input", pair.input), ("output", pair.output)):
        if text.endswith((":", "：")):
            return refused(f"{name}_unfinished", ending=text[-20:])
    return None


def common_faults(pairs: Sequence[Pair]) -> list[Verdict | None]:
    """What is wrong with the sound instances of one instruction together, one entry an instance.

    One non-empty input with two outputs makes them all doubtful; of equal instances the first stays.
    """
    outputs: dict[str, str] = {}
    for pair in pairs:
        if pair.input and outputs.setdefault(pair.input, pair.output) != pair.output:
            return [refused("contradicting_outputs", input=pair.input[:80])] * len(pairs)
    seen: set[Pair] = set()
    faults: list[Verdict | None] = []
    for pair in pairs:
        faults.append(refused("repeated_instance") if pair in seen else None)
        seen.add(pair)
    return faults
