"""Rules that turn a chunk's structure into questions; they refuse rather than guess.

``drafts(chunk, following)`` gives what sentences, lists, labels, tables and sections of a chunk answer, best first.
Answers are ranges of the chunk. Pure functions; nothing here knows templates, retrieval or verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from corpora.records import Chunk
from generators.extractive_deeds import goes_further, leans_on, opens_only, particles_fit
from generators.extractive_lists import of_labels, of_list, of_table
from generators.extractive_page import Draft, Page
from generators.extractive_phrases import before, is_nominal, nouns_of, topic_of
from generators.extractive_sections import of_heading
from generators.extractive_sentences import Found, goes_on, of_sentence
from generators.extractive_text import Sentence, Shown, fault, items, sentences_of, spoken_whole

__all__ = ["RULES_VERSION", "Draft", "drafts"]

RULES_VERSION = 4
#: A chunk that tells a story with invented people and values, or shows code, is no source.
_STORY = re.compile(r"이 시나리오|이 예(?:에서|에 |는 )|\*USMF\*|데모 데이터|가정합니다|가정해")

#: A heading of so few words is the label of a command or a field.
MOST_LABEL_WORDS = 2
#: How a sentence ends; "run(...)" does not.
_CLOSED = re.compile(r"(?<!\.\.)[.!?:]\S?\Z")
_NAME = re.compile(r"\*\*([^*\s](?:[^*\n]{0,58}[^*\s])?)\*\*")
_QUOTED_LINE = re.compile(r"^>[ \t]*(?!\[!|[-*+>|\d])(\S[^\n]*)", re.MULTILINE)
_OF_THINGS = frozenset({"definition", "use", "capability"})
#: Rules whose answer is a deed: it may lean on what was said before and go on in what follows.
_OF_DEEDS = frozenset({"purpose", "must_if", "may_if"})
_OF_EVENTS = frozenset({"happens_if", "handled_if"})
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
        elif block.kind == "paragraph" and "|" not in block.text:
            yield from _of_prose(page, block.start, block.end)


def _of_prose(page: Page, start: int, end: int, only: frozenset[str] | None = None) -> Iterator[Draft]:
    """What the sentences of one paragraph answer; ``only`` these rules."""
    said = sentences_of(page.text, start, end)
    for number, sentence in enumerate(said):
        found = of_sentence(sentence, page.topic) if _fit(page, sentence) else None
        if found is None or (only is not None and found.rule not in only) or (number and _cut(said[number - 1])):
            continue
        when = "" if found.alone else before(page.topic, found.phrase)
        if when is None or not particles_fit(found.phrase) or _elsewhere(page, found):
            continue
        if (bold := _NAME.match(page.text, sentence.start)) and not is_nominal(bold[1]):  # a heading in bold
            continue
        last = number
        # "그런 다음 …" and "다만 …" belong to the answer.
        while found.rule not in _OF_THINGS and last + 1 < len(said) and goes_on(said[last + 1].text):
            last += 1
        alone = found.rule not in _OF_DEEDS or _stands_alone(page, found, said, (number, last))
        if alone and all(_fit(page, later) for later in said[number + 1 : last + 1]):
            asked = _quoted(found.phrase, page.text[sentence.start : sentence.end])
            yield Draft(rule=found.rule, phrases={"x": asked, "when": when}, start=sentence.start, end=said[last].end)


def _elsewhere(page: Page, found: Found) -> bool:
    """Whether a sentence holds only for what its heading names: below "기울임꼴", "커서가 단어 안에 있으면"."""
    if found.rule not in _OF_DEEDS | _OF_EVENTS or page.topic.leaf == page.topic.title:
        return False
    leaf, asked = nouns_of(page.topic.leaf), nouns_of(found.phrase)
    if any(noun.isascii() and noun not in asked for noun in leaf):
        return True  # "macOS에서 주의할 점"
    label = len(page.topic.leaf.split()) <= MOST_LABEL_WORDS and bool(leaf - page.topic.nouns)
    return found.rule != "purpose" and label and not (leaf - page.topic.nouns) & asked


def _stands_alone(page: Page, found: Found, said: Sequence[Sentence], place: tuple[int, int]) -> bool:
    """Whether the deed of sentences ``place`` (first and last) needs neither what stands before nor what follows."""
    first, last = place
    path = f"{page.topic.title} {page.topic.leaf}"
    around = [block for block in page.blocks if block.end <= said[0].start or block.start >= said[last].end]
    listed = any(block.kind == "list" for block in page.blocks if block.start <= said[0].start < block.end)
    if (first or listed) and not nouns_of(path) & nouns_of(found.phrase):
        return False  # about something that was brought up before
    if leans_on(found.rest, " ".join(sentence.text for sentence in said[:first]), f"{found.phrase} {path}"):
        return False
    before = [block.text for block in around if block.end <= said[0].start][-1:]
    behind = [block for block in around if block.start >= said[last].end][:1]
    if found.rule == "purpose" and opens_only(found.rest, " ".join([*before, *(block.text for block in behind)])):
        return False
    if last + 1 < len(said):
        return found.rule == "may_if" or not goes_further(said[last + 1].text)
    return not any(block.kind in ("code", "list") for block in behind)


def _quoted(phrase: str, source: str) -> str:
    """``phrase`` with names of several words in quotes where ``source`` has them in bold: '판매 주문' 필드를."""
    shown = Shown(source, 0, len(source))
    _, end = shown.where(0, min(len(phrase), len(shown.text)))
    names = [name for name in dict.fromkeys(_NAME.findall(source, 0, end)) if name != phrase and "'" not in name]
    for name in names if any(" " in name for name in names) else ():
        phrase = phrase.replace(name, f"'{name}'", 1)
    return phrase


def _cut(before: Sentence) -> bool:
    """Whether the text before a sentence is no whole sentence, so that this one may begin in the middle of one."""
    return _CLOSED.search(before.text) is None


def _fit(page: Page, sentence: Sentence) -> bool:
    return not fault(page.text[sentence.start : sentence.end]) and spoken_whole(sentence.text)
