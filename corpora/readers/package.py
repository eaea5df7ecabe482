"""A zip that may be hostile, and the XML in it: opened only within limits, names never used as paths.

Office files and archives are zips. Sizes are asked before anything is unpacked, and the zip module never unpacks more
than a member declares. XML with a document type (entities, external files) is refused: no office program writes one.
Knows nothing of the formats made of it.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from corpora.readers import limits
from corpora.readers.extracted import too_large, unreadable

__all__ = ["OLE_MAGIC", "Package", "parse_xml", "refuse_ole"]

OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: The flag of a member whose name is UTF-8. Source: APPNOTE.TXT, 4.4.4, bit 11.
_UTF8_NAME = 0x800
_ENCODING = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)[\"']")
_XML_ENCODINGS = frozenset({b"utf-8", b"utf8", b"utf-16", b"us-ascii", b"ascii"})


class Package:
    """The members of a zip, within limits.

    Args:
        data: The bytes.
        name: The file, for messages.

    Raises:
        UnreadableDocumentError: no zip or a cut one (``damaged_file``), sizes beyond the limits
            (``document_too_large``).
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            members = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, IndexError, UnicodeError) as exc:
            raise unreadable(name, "damaged_file", f"is no zip that can be opened, or is cut short: {exc}.") from exc
        if len(members) > limits.MAX_MEMBERS:
            raise too_large(name, f"holds {len(members):,} files; at most {limits.MAX_MEMBERS:,} are opened.")
        unpacked = sum(member.file_size for member in members)
        if unpacked > limits.MAX_UNPACKED:
            raise too_large(name, f"unpacks to {unpacked:,} bytes; at most {limits.MAX_UNPACKED:,} are read.")
        for member in members:
            ratio = member.file_size / max(1, member.compress_size)
            if member.file_size > limits.RATIO_FLOOR and ratio > limits.MAX_RATIO:
                raise too_large(name, f"unpacks to {ratio:,.0f} times its size: a zip bomb.")
        # Members laid over one another would count once in the packed size and many times when unpacked.
        if unpacked > limits.RATIO_FLOOR and unpacked / max(1, len(data)) > limits.MAX_RATIO:
            raise too_large(name, "unpacks to too many times its size: a zip bomb.")
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._numbers: dict[str, int] = {}
        for member in members:
            if not member.is_dir():
                self._members[self._free(_readable(member))] = member

    def _free(self, name: str) -> str:
        """The name, numbered where another member has it already: a zip may hold two of one name."""
        if name not in self._members:
            return name
        folder, slash, leaf = name.rpartition("/")
        stem, dot, suffix = leaf.rpartition(".")
        if not stem.strip("."):  # ``..``, ``.conf``, or no dot at all
            stem, dot, suffix = leaf, "", ""
        free, number = name, self._numbers.get(name, 1)
        while free in self._members:
            number += 1
            free = f"{folder}{slash}{stem} ({number}){dot}{suffix}"
        # A thousand members of one name would each count from the beginning.
        self._numbers[name] = number
        return free

    def names(self) -> list[str]:
        """Names of the members as they were written, folders left out."""
        return list(self._members)

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def read(self, member: str) -> bytes:
        """The bytes of a member.

        Raises:
            UnreadableDocumentError: it is not there or its bytes are damaged (``damaged_file``), or it is locked with
                a password (``encrypted``).
        """
        info = self._members.get(member)
        if info is None:
            raise unreadable(self.name, "damaged_file", f"lacks its part '{member}'.")
        if info.flag_bits & 1:
            raise unreadable(self.name, "encrypted", f"locks '{member}' with a password; save it without one.")
        try:
            return self._zip.read(info)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            OSError,
            ValueError,
        ) as exc:
            raise unreadable(self.name, "damaged_file", f"is damaged in its part '{member}': {exc}.") from exc

    def xml(self, member: str) -> Any:
        """The root element of an XML member."""
        return parse_xml(self.read(member), self.name, member)

    def relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Relation id -> (type, member) of an office file's part; those to other files are left out."""
        folder, _, leaf = part.rpartition("/")
        member = f"{folder}/_rels/{leaf}.rels"
        if member not in self:
            return {}
        found = {}
        for node in self.xml(member):
            if node.get("TargetMode") != "External" and node.get("Target"):
                target = posixpath.normpath(posixpath.join("/", folder, node.get("Target"))).lstrip("/")
                found[node.get("Id")] = (node.get("Type") or "", target)
        return found

    def check_xml(self) -> None:
        """Look at every XML part before a library does.

        Raises:
            UnreadableDocumentError: one declares a document type or an odd encoding, or is damaged.
        """
        for member in self._members:
            if member.lower().endswith((".xml", ".rels", ".hpf", ".vml")):
                _check_prolog(self.read(member), self.name, member)


def parse_xml(data: bytes, name: str, part: str) -> Any:
    """The root of an XML part: no entities, no network, no huge trees.

    Raises:
        UnreadableDocumentError: it is no well-formed XML or declares a document type (``damaged_file``).
    """
    _check_prolog(data, name, part)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise unreadable(name, "damaged_file", f"holds XML that is damaged in '{part}': {exc}.") from exc
    for depth in _depths(root):
        if depth > limits.MAX_NESTING:
            raise too_large(name, f"nests more than {limits.MAX_NESTING} elements in '{part}'.")
    return root


def refuse_ole(data: bytes, name: str, newer: str) -> None:
    """Say what a file in the old container is that bears a new suffix: locked with a password, or old.

    Args:
        data: The bytes.
        name: The file, for messages.
        newer: Suffix under which to save it.

    Raises:
        UnreadableDocumentError: it is one (``encrypted`` or ``unsupported_format``).
    """
    if not data.startswith(OLE_MAGIC):
        return
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise unreadable(name, "encrypted", "is locked with a password; save it without one.")
    raise unreadable(name, "unsupported_format", f"is in the old binary format; save it as {newer}.")


def _readable(member: zipfile.ZipInfo) -> str:
    """The name as it was written: Korean Windows writes CP949 and does not say so, which zips then take for CP437."""
    if member.flag_bits & _UTF8_NAME:
        return member.filename
    try:
        raw = member.filename.encode("cp437")
    except UnicodeEncodeError:
        return member.filename
    if raw.isascii():
        return member.filename
    for encoding in ("utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return member.filename


def _check_prolog(data: bytes, name: str, part: str) -> None:
    plain = data.replace(b"\0", b"") if data[:4].count(0) else data
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise unreadable(name, "unsafe_xml", f"declares a document type in '{part}', which is not read.")
    declared = _ENCODING.match(plain.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff"))
    if declared is not None and declared.group(1).lower() not in _XML_ENCODINGS:
        raise unreadable(name, "unsafe_xml", f"declares an encoding in '{part}' that no office program writes.")


def _depths(root: Any) -> Iterator[int]:
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        yield depth
