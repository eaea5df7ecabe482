"""Rules for sections: a heading that names an action with its steps, a heading that names a thing with all its prose.

A section counts only when all of it stands in one chunk and nothing of it is left out. Pure; must know neither
templates nor retrieval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpora.korean.analyse import tokens
from corpora.markdown import Block, plain
from generators.extractive_clauses import clause_of_purpose
from generators.extractive_page import Draft, Page, steps
from generators.extractive_phrases import action, before, heading_text, is_nominal, is_noun_phrase, nouns_of
from generators.extractive_text import Shown, anaphor, fault, opens_elsewhere, sentences_of, spoken_whole

__all__ = ["of_heading"]

LONGEST_SECTION = 700
SHORTEST_SECTION = 60
LONGEST_INTRODUCTION = 3
FEWEST_STEPS = 3
_TOLD = ("기준", "순서", "규칙", "조건", "방법", "절차", "시각", "시간", "처리", "대응")
#: Headings that announce an act or a text, not a thing that could be described.
_NO_THING = re.compile(r"(?:기|사용|활용|이해|해결|관리|정보|개선|변경|지원|세부)\Z")
#: A first sentence up to its subject: "라벨은", "라벨에는", "라벨이란".
_SUBJECT = re.compile(r".{0,40}?\S(?:은|는|이|가|이란|란)(?= )")
_BULLET = re.compile(r"^[ \t]*[-*+] ", re.MULTILINE)


def of_heading(page: Page, position: int) -> Iterator[Draft]:
    """The section below the heading at ``position``: its steps, or all of it."""
    heading = page.blocks[position]
    title = heading_text(plain(heading.text))
    below = page.section(position)
    if not below or page.topic.example or not is_noun_phrase(title) or not nouns_of(title):
        return
    when = before(page.topic, title)
    if when is None:
        return
    if any(block.kind == "list" and block.ordered for block in below):
        yield from _steps(page, title, when, below)
    elif heading.level > 1 and all(block.kind in ("paragraph", "list") for block in below):
        yield from _prose(page, title, when, (below[0].start, below[-1].end))


def _steps(page: Page, title: str, when: str, below: list[Block]) -> Iterator[Draft]:
    """A heading that names an action with the one numbered list below it."""
    if re.search(r" (?:또는|혹은|및) |, ", title):
        return  # two actions, and one list that may tell of one of them
    lists = [block for block in below if block.kind == "list"]
    above = below[: below.index(lists[0])]
    asked = action(title)
    if asked is None or len(lists) != 1 or not lists[0].ordered or len(above) > 1:
        return
    if any(block.kind != "paragraph" for block in below if block is not lists[0]):
        return
    found = page.whole_list(page.blocks.index(lists[0]))
    if len(found) < FEWEST_STEPS or not steps(page, found, placed=True):
        return
    start = _introduced(page, above[0], lists[0]) if above else lists[0].start
    if start is not None:
        phrases = {"x": asked[1], "when": when}
        yield Draft(rule=f"heading_{asked[0]}", phrases=phrases, start=start, end=lists[0].end)


def _introduced(page: Page, above: Block, numbered: Block) -> int | None:
    """Where the answer begins: with the introduction where that is fit; None where its own clause asks better."""
    said = sentences_of(page.text, above.start, above.end)
    if not said:
        return numbered.start
    if clause_of_purpose(said[-1].text, said[-1].morphemes) is not None:
        return None
    source = page.text[above.start : above.end]
    pointing = any(opens_elsewhere(sentence.text) for sentence in said[:1]) or anaphor(source) is not None
    fit = len(said) <= LONGEST_INTRODUCTION and not pointing and not fault(source, listed=True)
    return above.start if fit else numbered.start


def _prose(page: Page, title: str, when: str, place: tuple[int, int]) -> Iterator[Draft]:
    """A heading with everything below it, where that is about the heading's subject."""
    source, text = page.text[place[0] : place[1]], Shown(page.text, *place).text
    said = sentences_of(page.text, *place)
    if not said or not SHORTEST_SECTION <= len(source) <= LONGEST_SECTION:
        return
    listed = bool(_BULLET.search(source))
    if fault(source, listed=listed) or opens_elsewhere(said[0].text) or anaphor(text, title):
        return
    if source.rstrip().endswith(":") or not (listed or spoken_whole(text)):
        return
    first_is_prose = _BULLET.match(source) is None and not re.search(r"(?:않|없)으면", said[0].text)
    named, opening = nouns_of(title), nouns_of(said[0].text)
    if len(named & opening) * 2 < len(named):
        return
    asked = action(title)
    if title.endswith(_TOLD):
        yield Draft(rule="told", phrases={"x": title, "when": when}, start=place[0], end=place[1])
    elif asked is None and not when and first_is_prose and _thing(title, said[0].text):
        yield Draft(rule="section", phrases={"x": title}, start=place[0], end=place[1])


def _thing(title: str, opening: str) -> bool:
    """Whether ``title`` names a thing that is the subject of the first sentence, ``opening``.

    "구매 주문 라인의 포장 단위" is about 단위, whatever its text says of 주문.
    """
    if not is_nominal(title) or _NO_THING.search(title):
        return False
    named = nouns_of(title)
    last = [m.form.lower() for m in tokens(title) if m.form.lower() in named][-1:]
    head = _SUBJECT.match(opening)
    return bool(last) and head is not None and last[0] in head[0].lower()
