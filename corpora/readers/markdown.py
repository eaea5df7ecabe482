"""Markdown: the text as it is, without what only a site generator reads; the first heading is the title.

Set aside: front matter (its title is kept), ``[!INCLUDE]`` lines, ``<a name>`` anchors, comments. Made plain: links to
files beside it become their words, HTML tables become Markdown tables. Code stays untouched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from corpora.markdown import blocks, plain
from corpora.readers.decode import decode
from corpora.readers.extracted import Extracted, no_text
from corpora.readers.furniture import contents_lines
from corpora.readers.spans import COMMENT, TABLE, replace_spans
from corpora.readers.tables import Budget

__all__ = ["markdown_title", "read_markdown"]

_INCLUDE = re.compile(
    r"^[ \t>]*\[!INCLUDE[ \t]*\[[^\]\n]*\](?:\([^)\n]*\))?\][ \t]*$\n?|\[!INCLUDE[ \t]*\[[^\]\n]*\]\([^)\n]*\)\]",
    re.I | re.M,
)
_ANCHOR = re.compile(r"<a\s+(?:name|id)\s*=\s*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s>]+)\s*(?:/>|>\s*</a>)", re.IGNORECASE)
#: A link to a file beside this one or into this page; pictures keep theirs, addresses with a scheme too.
_RELATIVE = re.compile(
    r"(?<!!)\[((?:[^\[\]\n]|\[[^\[\]\n]{0,200}\]){0,500})\]\((?![a-z][a-z0-9+.-]*:|//)[^()\s]*(?:\([^()\s]*\))?(?:\s+\"[^\"\n]*\")?\)",
    re.I,
)
_INLINE_CODE = re.compile(r"(?<!`)(`{1,5})(?!`)[^\n]{1,200}?(?<!`)\1(?!`)")
_FRONT_TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_CONTENTS_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+\[[^\]\n]+\]\(#[^)\n]*\)[ \t]*$")
_MIN_CONTENTS = 3


@dataclass(slots=True)
class _Counts:
    """What was done, for warnings."""

    name: str
    includes: int = 0
    links: int = 0
    tables: int = 0
    contents: int = 0
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = Budget(self.name)


def read_markdown(data: bytes, name: str) -> Extracted:
    """The text in NFC with plain line ends.

    Raises:
        UnreadableDocumentError: ``empty_file``, ``undecodable_text``, ``no_text``.
    """
    text, encoding, warnings = decode(data, name)
    found = blocks(text)
    said = list(warnings)
    front = found[0].text if found and found[0].kind == "front_matter" else None
    if front is not None:
        text = text[found[0].end :].lstrip("\n")
        said.append("Front matter was set aside.")
    counts = _Counts(name)
    text = _outside_code(text, lambda part: _tidied(part, counts))
    if not text.strip():
        raise no_text(name, "holds nothing but front matter, comments or includes.")
    said += [
        f"{number} {what}"
        for number, what in (
            (counts.includes, "[!INCLUDE] lines were set aside: the files they name are not here."),
            (counts.links, "links to other files were replaced by their words."),
            (counts.tables, "HTML tables became Markdown tables."),
            (counts.contents, "lines of a table of contents were set aside."),
        )
        if number
    ]
    title = markdown_title(text)
    if title is None and front is not None:
        match = _FRONT_TITLE.search(front)
        title = match.group(1) if match else None
    return Extracted(text=text, title=title, encoding=encoding, warnings=tuple(said))


def markdown_title(text: str) -> str | None:
    """The first heading without its markup, or None."""
    return next((plain(block.text) for block in blocks(text) if block.kind == "heading"), None)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """``text`` with ``change`` made to all that is no code block."""
    parts: list[str] = []
    at = 0
    for block in blocks(text):
        if block.kind == "code" and block.start >= at:
            parts += [change(text[at : block.start]), text[block.start : block.end]]
            at = block.end
    return "".join([*parts, change(text[at:])])


def _tidied(text: str, counts: _Counts) -> str:
    def table(html: str) -> str:
        from corpora.readers.html import table_markdown  # its library is an extra that plain Markdown does not need

        shown = table_markdown(html, counts.name, counts.budget)
        counts.tables += 1
        return f"\n\n{shown}\n\n" if shown else ""

    if "<" in text:
        text = _ANCHOR.sub("", replace_spans(text, COMMENT, lambda _: ""))
        text = replace_spans(text, TABLE, table)
    if "[" not in text:
        return text
    text, includes = _INCLUDE.subn("", text)
    counts.includes += includes
    return _without_links(_without_contents(text, counts), counts)


def _without_contents(text: str, counts: _Counts) -> str:
    """Without lists of links into the page itself: three lines of nothing else."""
    lines = text.split("\n")
    dropped = contents_lines(lines)
    run: list[int] = []
    for number, line in enumerate([*lines, "end"]):
        if _CONTENTS_ITEM.match(line):
            run.append(number)
        elif line.strip():
            dropped |= set(run) if len(run) >= _MIN_CONTENTS else set()
            run = []
    counts.contents += len(dropped)
    return "\n".join(line for number, line in enumerate(lines) if number not in dropped) if dropped else text


def _without_links(text: str, counts: _Counts) -> str:
    def words(match: re.Match[str]) -> str:
        counts.links += 1
        return match.group(1)

    parts: list[str] = []
    at = 0
    for code in _INLINE_CODE.finditer(text):
        parts += [_RELATIVE.sub(words, text[at : code.start()]), code.group()]
        at = code.end()
    return "".join([*parts, _RELATIVE.sub(words, text[at:])])
