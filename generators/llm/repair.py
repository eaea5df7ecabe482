"""Rewrites a reply that is almost JSON as JSON: its structure may change, its words never.

Mended: prose before and behind, commas too many or missing between brackets, brackets missing at the end, single or
curly quotes, raw line breaks and unescaped quotes inside a string, Python's ``True``, ``False`` and ``None``. Whatever
could be read in two ways is left alone (None): a string that nobody closed, a second JSON value, a number at the cut.

Every string is taken out first, so that no rule ever looks into one; general-purpose repairers end a cut sentence with
a quote and pass it off as whole, put in empty values or keep the last of two values. Knows nothing of what is meant.

Use::

    json.loads(rewrite("결과입니다: {'pairs': [{'question': '재고란?',},]"))   # {"pairs": [{"question": "재고란?"}]}
"""

from __future__ import annotations

import json
import re

__all__ = ["rewrite"]

#: Where an object or a list of objects, lists or strings begins; "[참고]" in prose is none.
_START = re.compile(r"\{\s*[\"'“}]|\[\s*[\"'“{\[\]]")
_SCALAR = re.compile(r"(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|True|False|None)(?![\w.+-])")
_SPELLED = {"True": "true", "False": "false", "None": "null"}
_CLOSES = {'"': '"', "'": "'", "“": "”", "{": "}", "[": "]"}
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
#: What may stand behind a string: a mark of structure, the end of the text or of a code block.
_BEHIND_STRING = re.compile(r"\s*(?:[,:}\]]|\Z|```)")
_FENCE = "```"


def rewrite(text: str) -> str | None:
    """The one JSON object or list in ``text`` as JSON, or None where it can't be had without guessing.

    Runs in time linear in the text; the result may still be no valid JSON (``{"a"}``), never another text's.
    """
    start = _START.search(text)
    if start is None:
        return None
    scanner = _Scanner(text, start.start())
    if not scanner.run() or _START.search(text, scanner.place):
        return None
    return "".join(scanner.parts)


class _Scanner:
    """Reads one value token by token and writes it down again."""

    def __init__(self, text: str, place: int) -> None:
        self.text = text
        self.place = place
        self.parts: list[str] = []
        self._open: list[str] = []  # closing brackets that are still to come, innermost last

    def run(self) -> bool:
        """Whether the value could be read to its end."""
        while self.place < len(self.text):
            if self.text[self.place].isspace():
                self.place += 1
            elif self.text.startswith(_FENCE, self.place):
                break
            elif not self._token():
                return False
            elif not self._open:
                return True
        # The end is missing. What stands last must be whole: a number may go on, behind "[" something was to come.
        if self.parts[-1][-1] not in '"}],':
            return False
        while self._open:
            self._close(self._open[-1])
        return True

    def _token(self) -> bool:
        mark = self.text[self.place]
        if mark in "{[":
            self._separate()
            self._open.append(_CLOSES[mark])
            self.parts.append(mark)
            self.place += 1
            return True
        if mark in "}]":
            self.place += 1
            return self._close(mark)
        if mark in ",:":
            self.parts.append(mark)
            self.place += 1
            return True
        return self._string(_CLOSES[mark]) if mark in "\"'“" else self._scalar()

    def _separate(self) -> None:
        """Put in the comma that is missing behind a bracket."""
        if self.parts and self.parts[-1] in ("}", "]"):
            self.parts.append(",")

    def _close(self, mark: str) -> bool:
        """Close a bracket, and before it those inside it that nobody closed."""
        if mark not in self._open:
            return False
        last = ""
        while last != mark:
            if self.parts[-1] == "," and self.parts[-2] not in "{[,:":
                self.parts.pop()
            last = self._open.pop()
            self.parts.append(last)
        return True

    def _scalar(self) -> bool:
        found = _SCALAR.match(self.text, self.place)
        if found is None:
            return False
        self.parts.append(_SPELLED.get(found.group(), found.group()))
        self.place = found.end()
        return True

    def _string(self, close: str) -> bool:
        """Read a string up to the quote that structure follows; quotes before that must stand in pairs."""
        text, place = self.text, self.place + 1
        read: list[str] = []
        inner: list[int] = []
        while place < len(text):
            character = text[place]
            if character == "\\":
                decoded, width = _escape(text, place)
                if not width:
                    return False
                read.append(decoded)
                place += width
                continue
            place += 1
            if character == close:
                if _BEHIND_STRING.match(text, place):
                    self.place = place
                    break
                inner.append(len(read))
            read.append(character)
        else:
            return False
        if not _in_pairs(read, inner, close):
            return False
        self._separate()
        self.parts.append(json.dumps("".join(read)))
        return True


def _escape(text: str, place: int) -> tuple[str, int]:
    """The character that an escape stands for and its width in the text; width 0 for no escape of JSON's."""
    kind = text[place + 1 : place + 2]
    if kind == "u" and _HEX.match(text, place + 2):
        return chr(int(text[place + 2 : place + 6], 16)), 6
    return (_ESCAPES[kind], 2) if kind in _ESCAPES else ("", 0)


def _in_pairs(read: list[str], inner: list[int], close: str) -> bool:
    """Whether unescaped quotes inside a string open and close words, as in ``그는 "재고"라고 했다``.

    A quote that stands alone, or faces a blank, is where a comma or a closing quote was forgotten.
    """
    if len(inner) % 2:
        return False
    for opening, closing in zip(inner[::2], inner[1::2], strict=True):
        if closing == opening + 1 or read[opening + 1].isspace() or read[closing - 1].isspace():
            return False
        if read[opening + 1] == close:
            return False
    return True
