"""How often the gates of grounding refuse what people wrote, and how often they catch a fact that was changed in it.

    python -m tests.benchmarks.gate_rates DATA [--sentences N] [--examples N]

``DATA`` is a folder with ``wms_docs_ko/*.md`` and ``korquad/*.json``; what is missing is left out. Each sentence of a
paragraph is an answer to that paragraph and must pass: what is refused is a false refusal. Then one fact of it is
changed (number, unit, limit, code, sign, half of the day, negation) to one that the paragraph does not have, and must
be refused: what passes is missed. Questions of KorQuAD stand alone, nearly all. No paragraph of either orders a model
about. Seconds are of this process's CPU.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from corpora.records import Chunk
from generators.grounding import answer_fault
from generators.grounding_injection import suspects
from generators.rag_gates import asks_structure, stands_alone
from tests.benchmarks.filter_rates import contexts, korquad, manuals

#: A sentence with its paragraph gives a changed sentence, or None where it has nothing to change.
Change = Callable[[str, str], str | None]

_END = re.compile(r"(?<=[.!?])\s+")
_DIGITS = re.compile(r"(?<![A-Za-z0-9.,:/_-])\d[\d,]*(?:\.\d+)?(?![A-Za-z0-9/:_-])")
_UNITS = ("시간", "분", "일", "개월", "년", "주", "회", "명", "개", "건", "%", "kg", "km", "cm", "도", "℃", "원")
_UNIT = re.compile(rf"(?<![A-Za-z0-9.,-])(\d[\d,.]*) ?({'|'.join(_UNITS)})(?=[은는이가을를의에로과와,. ]|$)")
_LIMITS = {
    "이내": "이후", "이후": "이내", "이상": "이하", "이하": "이상", "초과": "미만", "미만": "초과", "까지": "부터",
    "부터": "까지", "최대": "최소", "최소": "최대",
}  # fmt: skip
_BEHIND = re.compile(
    r"(?<=\d)( ?(?:시간|분|일|개월|년|주|회|명|개|건|%|kg|cm|도|℃|원|월|시)? ?)(이내|이후|이상|이하|초과|미만)"
)
_BEFORE = re.compile(r"(최대|최소)(?= ?\d)")
_CODE = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2,}(?:[-_]?[A-Z0-9]+)*(?![A-Za-z0-9])")
_SIGN = re.compile(r"(?:(?<=[\s(])|^)[-−](?=\d)|영하 ?(?=\d)")
_HALF = re.compile(r"(오전|오후)(?= ?\d{1,2}시)")
_NEGATIONS = (
    ("하지 않습니다.", "합니다."), ("되지 않습니다.", "됩니다."), ("수 없습니다.", "수 있습니다."),
    ("수 있습니다.", "수 없습니다."), ("하지 않았다.", "했다."), ("되지 않았다.", "되었다."), ("하지 않는다.", "한다."),
    ("수 없다.", "수 있다."), ("수 있다.", "수 없다."), ("합니다.", "하지 않습니다."), ("됩니다.", "되지 않습니다."),
)  # fmt: skip


def number(sentence: str, paragraph: str) -> str | None:
    match = _DIGITS.search(sentence)
    if match is None:
        return None
    # Far from anything that stands there, whatever its unit.
    value = int(re.sub(r"\D", "", match.group(0).split(".")[0])) + 3
    while str(value) in re.sub(r"(?<=\d),(?=\d)", "", paragraph):
        value += 7
    return sentence[: match.start()] + str(value) + sentence[match.end() :]


def unit(sentence: str, paragraph: str) -> str | None:
    match = _UNIT.search(sentence)
    if match is None:
        return None
    digits = match.group(1)
    used = set(re.findall(rf"{re.escape(digits)} ?([가-힣%℃a-z]+)", paragraph))
    other = next(one for one in _UNITS if one != match.group(2) and not any(word.startswith(one) for word in used))
    if re.search(rf"(?<![\d.]){re.escape(digits)}(?! ?[가-힣%℃a-z\d.,])", paragraph) or {match.group(2), other} in (
        {"도", "℃"},
    ):
        return None  # A bare number supports any unit.
    return sentence[: match.start(2)] + other + sentence[match.end(2) :]


def limit(sentence: str, paragraph: str) -> str | None:
    match = _BEHIND.search(sentence)
    word = match.group(2) if match else ""
    if match is None:
        match = _BEFORE.search(sentence)
        word = match.group(1) if match else ""
    if match is None or _LIMITS[word] in paragraph:
        return None
    return sentence[: match.end() - len(word)] + _LIMITS[word] + sentence[match.end() :]


def code(sentence: str, paragraph: str) -> str | None:
    for match in _CODE.finditer(sentence):
        other = match.group(0)[:-1] + ("X" if match.group(0)[-1] != "X" else "Z")
        if other.lower() not in paragraph.lower():
            return sentence[: match.start()] + other + sentence[match.end() :]
    return None


def sign(sentence: str, paragraph: str) -> str | None:
    changed = _SIGN.sub("", sentence, count=1)
    return changed if changed != sentence and len(_SIGN.findall(paragraph)) == 1 else None


def half(sentence: str, _paragraph: str) -> str | None:
    match = _HALF.search(sentence)
    if match is None:
        return None
    return sentence[: match.start()] + ("오후" if match.group(1) == "오전" else "오전") + sentence[match.end() :]


def negation(sentence: str, _paragraph: str) -> str | None:
    for ending, other in _NEGATIONS:
        if sentence.endswith(ending):
            return sentence.removesuffix(ending) + other
    return None


CHANGES: dict[str, Change] = {
    "number": number, "unit": unit, "limit": limit, "code": code, "sign": sign, "half of day": half,
    "negation": negation,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sentences", type=int, default=60, help="sentences of each source and kind of change")
    parser.add_argument("--examples", type=int, default=0, help="wrong decisions shown for each row")
    options = parser.parse_args()
    rows: list[tuple[str, int, int]] = []
    shown: dict[str, list[str]] = defaultdict(list)
    started = time.process_time()
    for source, read in (("manuals", manuals), ("korquad", contexts)):
        paragraphs = list(dict.fromkeys(row.answer for row in read(options.data)))
        ordering = [text for text in paragraphs if suspects(text)]
        rows.append((f"{source}: paragraphs flagged", len(ordering), len(paragraphs)))
        shown[rows[-1][0]] = [text[start:end] for text in ordering for start, end in suspects(text)]
        rows += _facts(source, _spread(paragraphs, options.sentences), shown)
    questions = list(dict.fromkeys(row.question for row in korquad(options.data)))
    faults = [fault for question in questions if (fault := asks_structure(question) or stands_alone(question))]
    rows.append(("korquad: questions refused", len(faults), len(questions)))
    shown[rows[-1][0]] = [
        f"{question} | {fault.evidence['pattern']}"
        for question in questions
        if (fault := asks_structure(question) or stands_alone(question))
    ]
    if not any(total for _, _, total in rows):
        sys.exit(f"no known source in {options.data}")
    _print(rows, shown, options.examples)
    print(f"\n{time.process_time() - started:.1f} s of CPU")


def _spread(paragraphs: list[str], most: int) -> list[tuple[str, str]]:
    """Sentences from all over the paragraphs, at most ``most`` for each kind of change, each once."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for paragraph in paragraphs:
        # By marks alone: what is cut wrong is only another answer, and Kiwi would take most of the time.
        for sentence in map(str.strip, _END.split(paragraph)):
            if 12 <= len(sentence) <= 200:
                for name, change in CHANGES.items():
                    if change(sentence, paragraph) is not None:
                        found[name].append((sentence, paragraph))
    return list(dict.fromkeys(pair for pairs in found.values() for pair in pairs[:: max(1, len(pairs) // most)][:most]))


def _facts(source: str, pairs: list[tuple[str, str]], shown: dict[str, list[str]]) -> list[tuple[str, int, int]]:
    """Refused of the sentences as they are, and caught of each kind of change."""
    counted: dict[str, list[int]] = {"as written, refused": [0, 0]} | {
        f"{name} changed, caught": [0, 0] for name in CHANGES
    }
    for sentence, paragraph in pairs:
        chunk = Chunk(id="c", document_id="d", index=0, text=paragraph, start=0, end=len(paragraph))
        fault = answer_fault(sentence, "", [chunk])
        counted["as written, refused"][0] += fault is not None
        counted["as written, refused"][1] += 1
        if fault is not None:
            shown[f"{source}: as written, refused"].append(f"{fault.reason} {fault.evidence} | {sentence}")
        for name, change in CHANGES.items():
            changed = change(sentence, paragraph) if fault is None else None
            if changed is None:
                continue
            caught = answer_fault(changed, "", [chunk]) is not None
            counted[f"{name} changed, caught"][0] += caught
            counted[f"{name} changed, caught"][1] += 1
            if not caught:
                shown[f"{source}: {name} changed, caught"].append(f"{sentence} -> {changed}")
    return [(f"{source}: {name}", both[0], both[1]) for name, both in counted.items()]


def _print(rows: list[tuple[str, int, int]], shown: dict[str, list[str]], examples: int) -> None:
    print("| row | count | of | % |\n|---|---:|---:|---:|")
    for name, count, total in rows:
        print(f"| {name} | {count:,} | {total:,} | {100 * count / total if total else 0:.2f} |")
    for name, found in shown.items():
        if examples and found:
            print(f"\n{name}", *(f"  {example[:300]!r}" for example in found[:examples]), sep="\n")


if __name__ == "__main__":
    main()
