"""A zip of documents: each member is read by its own reader; the names are labels and never paths.

``read_members(data, name, read)`` gives each member with its document or the error that says why not; ``joined`` makes
one document of them, each under its name. Knows no other format: the reader of members is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from corpora.errors import UnreadableDocumentError
from corpora.readers.extracted import Extracted, Page, unreadable
from corpora.readers.package import Package

__all__ = ["is_litter", "joined", "read_members"]

#: What programs leave in archives beside the documents.
_LITTER = re.compile(r"(?:^|/)(?:__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$|~\$|\.(?!\.?/))", re.IGNORECASE)
_HEADING = re.compile(r"^(#{1,6})(?= )", re.MULTILINE)
_FENCE = re.compile(r"^(`{3,}|~{3,})")


def is_litter(member: str) -> bool:
    """Whether a member is what programs leave beside the documents: hidden files, thumbnails, locks."""
    return _LITTER.search(member) is not None


def read_members(
    data: bytes, name: str, read: Callable[[bytes, str], Extracted]
) -> Iterator[tuple[str, Extracted | UnreadableDocumentError]]:
    """Each member's name and document, in the order of the zip.

    Args:
        data: The bytes of the zip.
        name: The file, for messages.
        read: Reads a member; called with its bytes and its name.

    Raises:
        UnreadableDocumentError: the zip itself cannot be opened or is too large.
    """
    package = Package(data, name)
    for member in package.names():
        if is_litter(member):
            continue
        try:
            yield member, read(package.read(member), member)
        except UnreadableDocumentError as exc:
            yield member, exc


def joined(data: bytes, name: str, read: Callable[[bytes, str], Extracted]) -> Extracted:
    """All members as one document; those that cannot be read are warned of.

    Raises:
        UnreadableDocumentError: none can be read; the first reason is told.
    """
    page = Page(name)
    errors: list[UnreadableDocumentError] = []
    good = 0
    for member, found in read_members(data, name, read):
        if isinstance(found, UnreadableDocumentError):
            errors.append(found)
            page.warn(found.message)
            continue
        good += 1
        page.mark(f"file {member}")
        page.heading(1, found.title or PurePosixPath(member).stem)
        page.block(_deeper(found.text, found.title))
        for warning in found.warnings:
            page.warn(f"{member}: {warning}")
    if not good:
        code = errors[0].code if errors else "no_text"
        why = errors[0].message if errors else "there are no files in it."
        raise unreadable(name, code, f"holds no document that can be read: {why}")
    return page.done()


def _deeper(text: str, title: str | None) -> str:
    """The text with its headings one level down; a first heading that is the title already stands above it."""
    lines = text.strip("\n").split("\n")
    if lines and title is not None and lines[0] == f"# {title}":
        lines = lines[1:]
    fence = ""
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and (not fence or line.startswith(fence)):
            fence = "" if fence else mark.group(1)
        elif not fence:
            lines[number] = _HEADING.sub(lambda m: m.group(1) if len(m.group(1)) == 6 else f"{m.group(1)}#", line)
    return "\n".join(lines)
