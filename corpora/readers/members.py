"""The documents of a zip, each for itself: ``archive.zip/dir/입고.md`` with what its reader made of it, or why not.

``read_archive`` opens zips within zips too and gives the members of both in one row. The limits of ``limits`` hold for
all of them together; a member beyond one is an error of its own, the others are read. Names are labels, never paths.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from corpora.errors import MalmoiError, UnreadableDocumentError
from corpora.readers import ReadDocument, limits, read_document
from corpora.readers.archive import is_litter
from corpora.readers.extracted import too_large
from corpora.readers.package import Package

__all__ = ["ArchiveMember", "read_archive"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveMember:
    """A file of the zip."""

    name: str  #: ``archive.zip/dir/입고.md``; control characters and ``..`` are still in it.
    sha256: str | None  #: Of its bytes; None where they could not be unpacked.
    bytes: int  #: How many there are.
    found: ReadDocument | MalmoiError  #: The document, or why it cannot be read.


@dataclass(slots=True)
class _Walk:
    """What counts for all zips within one."""

    skip: Collection[str]
    begin: Callable[[str], None]
    characters: int
    members: int = 0


def read_archive(
    data: bytes,
    name: str,
    *,
    skip: Collection[str] = (),
    characters: int = 0,
    begin: Callable[[str], None] = lambda _name: None,
) -> Iterator[ArchiveMember]:
    """Each member with its document or the error that says why not, in the order of the zip.

    Args:
        data: The bytes of the zip.
        name: The file; the members' names begin with it.
        skip: Names of members that are left out: they were read before.
        characters: How many characters were read before.
        begin: Told each member's name before it is read, so that whoever dies of one can be told which.

    Raises:
        UnreadableDocumentError: the zip itself cannot be opened, is too large or holds no file.
    """
    walk = _Walk(skip=skip, begin=begin, characters=characters)
    yield from _members(data, name, walk, 0)
    if not walk.members:
        raise UnreadableDocumentError(f"'{name}' holds no files.", code="no_text")


def _members(data: bytes, name: str, walk: _Walk, depth: int) -> Iterator[ArchiveMember]:
    package = Package(data, name)
    for member in package.names():
        if is_litter(member):
            continue
        label = f"{name}/{member}"
        walk.members += 1
        if walk.members > limits.MAX_MEMBERS:
            raise too_large(name, f"and the zips in it hold more than {limits.MAX_MEMBERS:,} files.")
        if label in walk.skip:
            continue
        walk.begin(label)
        inner: bytes | None = None
        try:
            inner = package.read(member)
            if PurePath(member).suffix.lower() == ".zip":
                yield from _inner(inner, label, walk, depth)
                continue
            found: ReadDocument | MalmoiError = _counted(read_document(inner, label), label, walk)
        except MalmoiError as exc:
            found = exc
        except MemoryError:
            found = too_large(label, "needs more memory than a parser may take; split it.")
        sha256 = hashlib.sha256(inner).hexdigest() if inner is not None else None
        yield ArchiveMember(name=label, sha256=sha256, bytes=len(inner or b""), found=found)


def _counted(read: ReadDocument, label: str, walk: _Walk) -> ReadDocument:
    walk.characters += len(read.text)
    if walk.characters > limits.MAX_CHARACTERS:
        raise too_large(label, f"lies behind {limits.MAX_CHARACTERS:,} characters of its zip; send it alone.")
    return read


def _inner(data: bytes, label: str, walk: _Walk, depth: int) -> Iterator[ArchiveMember]:
    if depth + 1 >= limits.MAX_ARCHIVE_DEPTH:
        raise too_large(label, f"is a zip within {limits.MAX_ARCHIVE_DEPTH} others, which is not opened.")
    yield from _members(data, label, walk, depth + 1)
