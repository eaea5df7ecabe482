"""Replacing what stands between two marks, in time that grows with the text alone.

A lazy regular expression with an end that never comes looks through the whole rest again for each beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["COMMENT", "TABLE", "replace_spans"]

#: Beginning and end of a comment and of a table in HTML.
COMMENT = (re.compile(r"<!--"), re.compile(r"-->"))
TABLE = (re.compile(r"<table\b", re.IGNORECASE), re.compile(r"</table>", re.IGNORECASE))


def replace_spans(text: str, marks: tuple[re.Pattern[str], re.Pattern[str]], change: Callable[[str], str]) -> str:
    """``text`` with each span from a beginning to the next end, both included, replaced by ``change`` of it."""
    begin, end = marks
    parts: list[str] = []
    at = 0
    while (first := begin.search(text, at)) and (last := end.search(text, first.end())):
        parts += [text[at : first.start()], change(text[first.start() : last.end()])]
        at = last.end()
    return "".join([*parts, text[at:]])
