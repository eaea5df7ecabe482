"""Plain text: as it is; the first line is the title where it is short enough to be one.

Lines of a table of contents are set aside with a warning.
"""

from __future__ import annotations

from corpora.readers.decode import decode
from corpora.readers.extracted import Extracted
from corpora.readers.furniture import contents_lines

__all__ = ["read_text", "text_title"]

_LONGEST_TITLE = 80


def read_text(data: bytes, name: str) -> Extracted:
    """The text in NFC with plain line ends.

    Raises:
        UnreadableDocumentError: ``empty_file`` or ``undecodable_text``.
    """
    text, encoding, warnings = decode(data, name)
    lines = text.split("\n")
    contents = contents_lines(lines)
    if contents and len(contents) < sum(1 for line in lines if line.strip()):
        text = "\n".join(line for number, line in enumerate(lines) if number not in contents)
        warnings = (*warnings, f"A table of contents of {len(contents)} lines was set aside.")
    return Extracted(text=text, title=text_title(text), encoding=encoding, warnings=warnings)


def text_title(text: str) -> str | None:
    """The first line that is not blank, or None when it is longer than a title."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first if 0 < len(first) <= _LONGEST_TITLE else None
