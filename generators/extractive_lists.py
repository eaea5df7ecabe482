"""Rules for lists and tables: procedures with the clause that announces them, announced lists, labels and cells.

Pure; must know neither templates nor retrieval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpora.korean.analyse import tokens
from corpora.markdown import plain
from generators.extractive_clauses import clause_of_purpose
from generators.extractive_page import Draft, Page, steps
from generators.extractive_phrases import Topic, before, is_nominal, is_noun_phrase, nouns_of
from generators.extractive_text import (
    Item,
    Sentence,
    Shown,
    anaphor,
    fault,
    opens_elsewhere,
    sentences_of,
    spoken_whole,
)

__all__ = ["interrogative", "of_labels", "of_list", "of_table"]

LONGEST_LIST_QUESTION = 90
#: A longer first cell is a clause or a goal, not the name of its row.
MOST_LABEL_WORDS = 3
SHORTEST_DESCRIPTION = 20
#: More sentences tell more than what is entered.
LONGEST_DESCRIPTION = 3
_BULLET = re.compile(r"[ \t]*[-*+][ \t]+")
_LABEL = re.compile(r"\*\*(?P<label>[^*\n]{2,40}?)(?P<inner>:)?\*\*\s?(?P<mark>:|–|—|-)?\s+")
_FIELD = re.compile(r"(입력|선택|지정)(?:합니다|하십시오|하세요)\.\Z")
_OBJECT = re.compile(r"[가-힣A-Za-z0-9)](?:을|를) (?:[가-힣]+게 )?\Z|지(?: 여부를)? \Z")
_WHEN_SET = re.compile(
    r"(?:경우|려면|도록|때)(?:에)?,? 이 (?:확인란|옵션|상자|항목|설정)을 (?:(?P<select>선택)|(?P<value>예"
    r"|아니요|켜짐|꺼짐) ?로 설정)합니다\.\Z"
)
_OPTION = re.compile(
    r"이 (?:확인란|옵션|상자|항목|설정)을 (?P<value>(?:(?:예|아니요|켜짐|꺼짐) ?로 설정|선택|선택 취소)하면)(?:,? )"
)
_IN_PLACE = re.compile(r"다음(?:과 같은)? (?P<noun>[^.,:]{1,30}?)(?P<particle>이|가|을|를)(?= )")
#: Columns that say something of what the first cell names, by themselves.
_COLUMN = re.compile(r"(?:의미|뜻|내용|설명|용도|역할|기능|조치|처리|대응|원인|방법|기준|조건|담당|대상)\Z")
_COUNTED = re.compile(r"\A(?:두|세|네|다섯|몇|여러|\d+) ?(?:가지|개|개의|종류의)? ")
_NO_LIST_OF = re.compile(r"단계|절차|순서|그림|예(?:\Z| )|중\Z|하나\Z|작업\Z|표\Z|설정\Z|값\Z|필드\Z")
_TOPIC_END = re.compile(r"(?:은|는|에는|에서는|에서|으로|로|를|을|려면)\Z")
_BATCHIM_B = 17


def of_list(page: Page, position: int) -> Iterator[Draft]:
    """The list at ``position`` with the paragraph that announces it."""
    block, above = page.blocks[position], page.blocks[position - 1]
    if not position or above.kind != "paragraph":
        return
    said = sentences_of(page.text, above.start, above.end)
    if not said or fault(page.text[said[-1].start : said[-1].end], listed=True):
        return
    last = said[-1]
    found = page.whole_list(position)
    if not found or opens_elsewhere(last.text) or anaphor(last.text):
        return
    clause = clause_of_purpose(last.text, last.morphemes)
    if block.ordered and clause is not None:
        when = before(page.topic, clause[0])
        if when is not None and steps(page, found):
            phrases = {"x": clause[0], "when": when}
            yield Draft(rule="procedure", phrases=phrases, start=last.start, end=block.end)
    elif not block.ordered:
        yield from _announced(page, last, found, block.end)


def _announced(page: Page, sentence: Sentence, found: list[Item], end: int) -> Iterator[Draft]:
    """Ask of "X에는 다음 부분이 포함됩니다.": "X에는 어떤 부분이 포함되나요?"."""
    match = _IN_PLACE.search(sentence.text)
    if match is None or not match.start():
        return
    head, tail = sentence.text[: match.start()].rstrip(), sentence.text[match.end() :].strip()
    asked = interrogative(tail)
    noun = _COUNTED.sub("", match["noun"])
    if asked is None or opens_elsewhere(head) or re.search(r"[.,:]", head) or _NO_LIST_OF.search(noun):
        return
    if " " in noun or any(item.nested for item in found) or re.search(r"경우|때 ", head):
        return  # with a condition in front, the question would have to say of what
    phrase = f"{head} 어떤 {noun}{match['particle']} {asked}"
    when = before(page.topic, head)
    if when is not None and _TOPIC_END.search(head) and len(phrase) <= LONGEST_LIST_QUESTION and nouns_of(head):
        yield Draft(rule="list", phrases={"x": phrase, "when": when}, start=sentence.start, end=end)


def interrogative(predicate: str) -> str | None:
    """A predicate in 합쇼체 as a question: 포함됩니다 gives 포함되나요?; None where it is no plain statement."""
    match = re.fullmatch(r"((?:[가-힣]+ ){0,4}[가-힣]*?)([가-힣])니다[.:]?", predicate)
    if match is None:
        return None
    head, last = match[1], match[2]
    if last == "습":
        return f"{head}나요?" if head.endswith(("있", "없", "았", "었", "했", "였", "됐")) else None
    if (ord(last) - ord("가")) % 28 != _BATCHIM_B or last == "입":
        return None
    return f"{head}{chr(ord(last) - _BATCHIM_B)}나요?"


def of_labels(page: Page, position: int) -> Iterator[Draft]:
    """Lines "- **이름** – 설명." of a list, inner ones too: what is entered in a field, when an option is set."""
    block = page.blocks[position]
    cut = position == len(page.blocks) - 1 and page.goes_on
    found = []
    at = block.start
    for line in page.text[block.start : block.end].split("\n"):
        if line.strip():
            found.append((at, line))
        at += len(line) + 1
    for number, (start, line) in enumerate(found):
        last = number == len(found) - 1
        goes_on = cut if last else _indent(found[number + 1][1]) > _indent(line)
        marker = _BULLET.match(line)
        if goes_on or marker is None:
            continue
        end = start + len(line.rstrip())
        match = _LABEL.match(page.text, start + marker.end(), end)
        if match is not None and (match["mark"] or match["inner"]):
            yield from _label(page, match["label"].strip(" :"), match.end(), end)


def _indent(line: str) -> int:
    return len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())


def of_table(page: Page, position: int) -> Iterator[Draft]:
    """Rows of a table whose first column names and whose other columns describe in sentences."""
    block = page.blocks[position]
    if position == len(page.blocks) - 1 and page.goes_on:
        return
    lines, at = [], block.start
    for line in page.text[block.start : block.end].split("\n"):
        lines.append((at, line))
        at += len(line) + 1
    names = [plain(page.text[low:high]) for low, high in _cells(lines[0][1], lines[0][0])]
    rows = [cells for start, line in lines[2:] if len(cells := _cells(line, start)) == len(names)]
    labels = [plain(page.text[slice(*cells[0])]) for cells in rows] if len(names) > 1 else []
    for label, cells in zip(labels, rows, strict=bool(labels)) if labels else ():
        if labels.count(label) > 1:
            continue  # a row that its first cell does not tell from another
        for name, (low, high) in list(zip(names, cells, strict=True))[1:]:
            if len(cells) > 2:
                yield from _cell(page, (label, name), low, high)
            else:
                yield from _label(page, label, low, high)


def _cells(line: str, start: int) -> list[tuple[int, int]]:
    """The ranges of a row's cells, without the blanks around them."""
    found = []
    for match in re.finditer(r"(?<=\|)((?:\\\||[^|])*)(?=\|)", line):
        text = match[1].strip()
        low = start + match.start() + (len(match[1]) - len(match[1].lstrip()))
        found.append((low, low + len(text)))
    return found


def _cell(page: Page, names: tuple[str, str], low: int, high: int) -> Iterator[Draft]:
    label, column = names
    when = _place(page.topic, label)
    if when is None or not _COLUMN.search(column) or len(label.split()) > MOST_LABEL_WORDS:
        return
    if not is_noun_phrase(column) or not _describes(page, label, low, high):
        return
    yield Draft(rule="cell", phrases={"x": f"'{label}'", "column": column, "when": when}, start=low, end=high)


def _label(page: Page, label: str, low: int, high: int) -> Iterator[Draft]:
    when = _place(page.topic, label)
    if when is None or when == f"{label}에서 " or not _describes(page, label, low, high):
        return
    if len(re.findall(rf"\*\*{re.escape(label)}:?\*\*\s?[:–—-]", page.text)) > 1:
        return  # two things of one page have this name
    first = sentences_of(page.text, low, high)[0].text
    if not _says_more(first, f"{label} {when}"):
        return
    phrases = {"x": f"'{label}'", "when": when}
    if len(sentences_of(page.text, low, high)) > LONGEST_DESCRIPTION:
        return
    verb = _FIELD.search(first)
    when_set, option = _WHEN_SET.search(first), _OPTION.match(first)
    if when_set is not None:
        asked = "선택하나요" if when_set["select"] else f"{when_set['value']}로 설정하나요"
        yield Draft(rule="field_when", phrases=phrases | {"asked": asked}, start=low, end=high)
    elif option is not None:
        yield Draft(rule="option", phrases=phrases | {"value": option["value"]}, start=low, end=high)
    elif (
        verb is not None and _OBJECT.search(first[: verb.start()]) and not re.search(r"이 (?:확인란|옵션|상자)", first)
    ):
        yield Draft(rule="field", phrases=phrases | {"verb": verb[1]}, start=low, end=high)


def _says_more(sentence: str, known: str) -> bool:
    """Whether ``sentence`` tells more than its label does: "배송사를 선택합니다" says nothing of '배송사'."""
    new = nouns_of(sentence) - nouns_of(known)
    found = tokens(sentence)
    clause = any(
        m.tag == "ETM" and found[at - 1].form not in ("대하", "위하", "관하") for at, m in enumerate(found) if at
    )
    return len(new) >= 2 or (bool(new) and clause)


def _place(topic: Topic, label: str) -> str | None:
    """Where a label belongs: the heading it stands below, else the topic; None where neither names a place."""
    if topic.example or not 2 <= len(label) <= 40 or re.search(r"[\\|:*<>'\"]|\A[\W\d]+\Z|라인 \d|\d단계", label):
        return None
    for place in dict.fromkeys((topic.leaf, topic.title)):
        if not is_noun_phrase(place) or not nouns_of(place) or place.endswith("기") or not is_nominal(place):
            continue
        if place == topic.title or before(topic, place) == "":
            return f"{place}에서 "
    return None


def _describes(page: Page, label: str, low: int, high: int) -> bool:
    """Whether the range describes ``label`` in whole sentences that need nothing else."""
    source, text = page.text[low:high], Shown(page.text, low, high).text
    known = f"{label} 필드 옵션 값 설정 확인란 상자 항목 기능"
    own = re.sub(r"\A이 (?:필드|옵션|값|설정|확인란)", "", text)
    return (
        len(text) >= SHORTEST_DESCRIPTION
        and not fault(source)
        and not re.search(r"(?:\*(?!\*)|_)\w{0,4}\d{2,}|[A-Z]{1,3}\d{3,}|예를 들어 이 ", source)
        and not opens_elsewhere(own)
        and anaphor(text, known) is None
        and spoken_whole(text)
    )
