"""A chunk taken apart for the rules of blocks, and what makes a list whole.

A list counts only when nothing of it is missing: not cut by the chunk's end, not interrupted, without links, pictures
or values that hold for an example only. Pure; must know neither templates nor retrieval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from corpora.markdown import Block, blocks
from corpora.records import Chunk
from generators.extractive_phrases import Topic
from generators.extractive_text import Item, fault, items, sentences_of

__all__ = ["Draft", "Page", "steps"]

MIN_ITEMS = 2
SHORTEST_FIRST_STEP = 18
_LIST_AHEAD = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])[ \t]+|[ \t]{2,}\S|\|")
_HEADING_AHEAD = re.compile(r"\s*(#{1,6})[ \t]")
#: Values of an example: "**창고:** *62*", "창고 62", "ID가 00006인"; what was made in an earlier exercise.
_EXAMPLE_VALUE = re.compile(
    r"\*\*:?\*?\*?\s*[:–-]?\s*(?:\*(?!\*)|_)[^\s*_]|필드[에를]? (?:\*(?!\*)|_)[^\s*_]|창고 \d|\b0{2,}\d+"
    r"|[A-Z]{1,3}\d{3,}|(?:방금|이전에|이전과|앞에서|앞서)"
    r"|이전 (?:단계|절차|작업)|(?:생성|추가|작성|정의)한 (?:\*(?!\*)|_)|만든 (?:\*(?!\*)|_)|목록에서 (?:\*(?!\*)|_)"
)
#: Where a procedure begins: a menu path, a screen, a code of one.
_PLACE = re.compile(r">|화면|페이지|이동|엽니다|열고|열어|메뉴|로그인|접속|모듈|[A-Z]{2,}-\d+")
#: What a list of steps does not end with: what is seen or possible then.
_NO_LAST_STEP = re.compile(r"(?:있습니다|있다|없습니다|없다|입니다|이다|됩니다|된다)\.?\Z")
_STEP = re.compile(r"(?:니다|십시오|세요|시오|[한된린는간본]다)[.:]?(?=\s|\Z|\))")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What a question is made of, with the range of the chunk that answers it."""

    rule: str  #: Key of ``FORMS``.
    phrases: dict[str, str] = field(default_factory=dict)  #: What its templates fill in.
    start: int  #: Offset of the answer in the chunk's text.
    end: int  #: Offset behind it.


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A chunk, taken apart."""

    text: str  #: Its text.
    blocks: tuple[Block, ...]  #: Its blocks.
    topic: Topic  #: What it is about.
    ends_section: bool  #: Whether its last section ends with it.
    goes_on: bool  #: Whether the next chunk goes on with a list or table.
    next_level: int  #: Level of the heading that the next chunk begins with; 0 without one.

    @classmethod
    def of(cls, chunk: Chunk, topic: Topic, following: Chunk | None) -> Page:
        """Take ``chunk`` apart; ``following`` is the next chunk of its document."""
        after = following.text if following is not None else ""
        ahead = _HEADING_AHEAD.match(after)
        return cls(
            text=chunk.text,
            blocks=tuple(blocks(chunk.text)),
            topic=topic,
            ends_section=following is None or ahead is not None,
            goes_on=bool(_LIST_AHEAD.match(after)),
            next_level=len(ahead[1]) if ahead is not None else 0,
        )

    def whole_list(self, position: int) -> list[Item]:
        """The items of the list at ``position``; none where it may be cut, interrupted or no answer at all."""
        block = self.blocks[position]
        rest = self.blocks[position + 1 :]
        if block.kind != "list" or (not rest and self.goes_on):
            return []
        for other in rest:
            if other.kind == "heading":
                break
            if other.kind != "paragraph" or self.text[other.start] in " \t":
                return []  # a picture, a note or a second list: it may go on behind that
        found = items(self.text, block.start, block.end)
        numbers = [item.number for item in found if item.number is not None]
        counted = numbers in (list(range(1, len(numbers) + 1)), [1] * len(numbers))
        if len(found) < MIN_ITEMS or not counted or fault(self.text[block.start : block.end], listed=True):
            return []
        return found

    def section(self, position: int) -> list[Block]:
        """The blocks below the heading at ``position``; none where they go on elsewhere or under deeper headings."""
        level = self.blocks[position].level
        below: list[Block] = []
        following = self.next_level
        for block in self.blocks[position + 1 :]:
            if block.kind == "heading":
                following = block.level
                break
            below.append(block)
        else:
            if not self.ends_section:
                return []
        return below if following <= level else []


def steps(page: Page, found: list[Item], *, placed: bool = False) -> bool:
    """Whether the items are the steps of one procedure: each says what is done.

    Args:
        page: Where they stand.
        found: The items.
        placed: Whether the first must name the place where the procedure begins, since no clause does.
    """
    if not found or _EXAMPLE_VALUE.search(page.text[found[0].start : found[-1].end]):
        return False
    firsts = [sentences_of(page.text, item.start, item.end)[:1] for item in found]
    if not all(first and _STEP.search(first[0].text) for first in firsts):
        return False
    opening = firsts[0][0].text
    if placed and (_PLACE.search(opening) is None or len(opening) < SHORTEST_FIRST_STEP):
        return False
    return "닫" not in opening and _NO_LAST_STEP.search(firsts[-1][0].text) is None
