"""Rules that turn a chunk's structure into questions; they refuse rather than guess.

``drafts(chunk, following)`` gives what sentences, lists, labels, tables and sections of a chunk answer, best first.
Answers are ranges of the chunk. Pure functions; nothing here knows templates, retrieval or verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpora.records import Chunk
from generators.extractive_lists import of_labels, of_list, of_table
from generators.extractive_page import Draft, Page
from generators.extractive_phrases import before, topic_of
from generators.extractive_sections import of_heading
from generators.extractive_sentences import goes_on, of_sentence
from generators.extractive_text import Sentence, Shown, fault, items, sentences_of, spoken_whole

__all__ = ["RULES_VERSION", "Draft", "drafts"]

RULES_VERSION = 2
#: A chunk that tells a story with invented people and values, or shows code, is no source.
_STORY = re.compile(r"이 시나리오|이 예(?:에서|에 |는 )|\*USMF\*|데모 데이터|가정합니다|가정해")

_NAME = re.compile(r"\*\*([^*\s](?:[^*\n]{0,58}[^*\s])?)\*\*")
_QUOTED_LINE = re.compile(r"^>[ \t]*(?!\[!|[-*+>|\d])(\S[^\n]*)", re.MULTILINE)
_OF_THINGS = frozenset({"definition", "use", "capability"})
_OF_ITEMS = frozenset({"purpose", "capability"})
_OF_NOTES = frozenset({"purpose", "capability", "definition", "must_if", "may_if", "happens_if"})


def drafts(chunk: Chunk, following: Chunk | None = None) -> list[Draft]:
    """Everything that the rules make of ``chunk``, no two with the same range.

    Args:
        chunk: Where answers are cut from.
        following: The next chunk of its document: whether a list or section goes on there.
    """
    topic = topic_of(chunk)
    if topic.example or _STORY.search(chunk.text):
        return []
    page = Page.of(chunk, topic, following)
    kept: dict[tuple[int, int], Draft] = {}
    for draft in _all(page):
        kept.setdefault((draft.start, draft.end), draft)
    return list(kept.values())


def _all(page: Page) -> Iterator[Draft]:
    for position, block in enumerate(page.blocks):
        if block.kind == "heading":
            yield from of_heading(page, position)
        elif block.kind == "list":
            yield from of_list(page, position)
            yield from of_labels(page, position)
            for item in [] if block.ordered else items(page.text, block.start, block.end):
                if not item.nested and not page.text.startswith("**", item.start):
                    yield from _of_prose(page, item.start, item.end, only=_OF_ITEMS)
        elif block.kind == "table":
            yield from of_table(page, position)
        elif block.kind == "quote":
            for match in _QUOTED_LINE.finditer(page.text, block.start, block.end):
                yield from _of_prose(page, *match.span(1), only=_OF_NOTES)
        elif block.kind == "paragraph":
            yield from _of_prose(page, block.start, block.end)


def _of_prose(page: Page, start: int, end: int, only: frozenset[str] | None = None) -> Iterator[Draft]:
    """What the sentences of one paragraph answer; ``only`` these rules."""
    said = sentences_of(page.text, start, end)
    for number, sentence in enumerate(said):
        found = of_sentence(sentence, page.topic) if _fit(page, sentence) else None
        if found is None or (only is not None and found.rule not in only):
            continue
        when = "" if found.alone else before(page.topic, found.phrase, condition=found.rule.endswith("_if"))
        if when is None:
            continue
        behind, whole = sentence.end, True
        # "그런 다음 …" and "다만 …" belong to the answer.
        for later in said[number + 1 :] if found.rule not in _OF_THINGS else ():
            if not goes_on(later.text):
                break
            whole = whole and _fit(page, later)
            behind = later.end
        if whole:
            asked = _quoted(found.phrase, page.text[sentence.start : sentence.end])
            yield Draft(rule=found.rule, phrases={"x": asked, "when": when}, start=sentence.start, end=behind)


def _quoted(phrase: str, source: str) -> str:
    """``phrase`` with names of several words in quotes where ``source`` has them in bold: '판매 주문' 필드를."""
    shown = Shown(source, 0, len(source))
    _, end = shown.where(0, min(len(phrase), len(shown.text)))
    names = [name for name in dict.fromkeys(_NAME.findall(source, 0, end)) if name != phrase and "'" not in name]
    for name in names if any(" " in name for name in names) else ():
        phrase = phrase.replace(name, f"'{name}'", 1)
    return phrase


def _fit(page: Page, sentence: Sentence) -> bool:
    return not fault(page.text[sentence.start : sentence.end]) and spoken_whole(sentence.text)
