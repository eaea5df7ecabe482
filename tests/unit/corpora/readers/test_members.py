"""A zip's members, each for itself: names, limits over all of them, zips within zips."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Iterable

import pytest

from corpora.errors import UnreadableDocumentError
from corpora.readers import ReadDocument, limits, read_document
from corpora.readers.members import ArchiveMember, read_archive
from corpora.readers.package import Package

TEXT = "# 입고\n\n입고란 창고에 물건을 들이는 일을 말합니다."


def zipped(members: Iterable[tuple[str, bytes | str]]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return held.getvalue()


def codes(members: Iterable[ArchiveMember]) -> list[tuple[str, str | None]]:
    return [(one.name, None if isinstance(one.found, ReadDocument) else one.found.code) for one in members]


def test_members_in_order_with_their_own_errors() -> None:
    inner = zipped([("재고.txt", "재고\n\n남은 물건입니다.")])
    data = zipped(
        [("가.md", TEXT), ("빈.md", ""), (".DS_Store", "x"), ("안.zip", inner), ("그림.png", "x"), ("나.zip", "x")]
    )
    begun: list[str] = []
    found = list(read_archive(data, "자료.zip", begin=begun.append))
    assert codes(found) == [
        ("자료.zip/가.md", None),
        ("자료.zip/빈.md", "empty_file"),
        ("자료.zip/안.zip/재고.txt", None),
        ("자료.zip/그림.png", "unsupported_format"),
        ("자료.zip/나.zip", "damaged_file"),
    ]
    assert begun[0] == "자료.zip/가.md"
    assert found[0].sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    rest = read_archive(data, "자료.zip", skip={one.name for one in found[:2]})
    assert codes(rest) == codes(found[2:])


def test_a_locked_member_fails_alone() -> None:
    data = bytearray(zipped([("가.md", TEXT), ("나.md", TEXT + "\n\n나")]))
    # The first entry's flags, in front of its bytes and in the directory: encrypted.
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    found = list(read_archive(bytes(data), "자료.zip"))
    assert codes(found) == [("자료.zip/가.md", "encrypted"), ("자료.zip/나.md", None)]
    assert found[0].sha256 is None


def test_zips_too_deep_and_zips_of_nothing() -> None:
    deep = zipped([("가.md", TEXT)])
    for level in range(limits.MAX_ARCHIVE_DEPTH):
        deep = zipped([(f"{level}.zip", deep)])
    assert codes(read_archive(deep, "깊은.zip")) == [("깊은.zip/1.zip/0.zip", "document_too_large")]
    for data in (zipped([]), zipped([("__MACOSX/a", "x")])):
        with pytest.raises(UnreadableDocumentError) as caught:
            list(read_archive(data, "빈.zip"))
        assert caught.value.code == "no_text"


def test_limits_hold_for_all_members_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CHARACTERS", 80)
    data = zipped([(f"{n}.md", TEXT) for n in range(3)])
    assert [code for _, code in codes(read_archive(data, "a.zip"))] == [None, None, "document_too_large"]
    assert [code for _, code in codes(read_archive(data, "a.zip", characters=60))] == ["document_too_large"] * 3
    monkeypatch.setattr(limits, "MAX_MEMBERS", 3)
    many = zipped([("a.zip", zipped([("1.md", TEXT), ("2.md", TEXT)])), ("b.zip", zipped([("3.md", TEXT)]))])
    with pytest.raises(UnreadableDocumentError, match="more than 3 files"):
        list(read_archive(many, "a.zip"))


def test_names_of_korean_windows_are_read() -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("XXXX.md", TEXT)
        archive.writestr("café.md", TEXT)
        archive.writestr("Übersicht.md", TEXT)  # its CP437 bytes would be Korean in CP949
    data = held.getvalue().replace(b"XXXX.md", "입고.md".encode("cp949"))
    names = [one.name for one in read_archive(data, "a.zip")]
    assert names == ["a.zip/입고.md", "a.zip/café.md", "a.zip/Übersicht.md"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_two_documents() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("입고.md", "# 입고\n\n첫 번째 입고 절차입니다.")
        archive.writestr("입고.md", "# 입고\n\n두 번째 입고 절차입니다.")
    found = list(read_archive(target.getvalue(), "묶음.zip"))
    assert [member.name for member in found] == ["묶음.zip/입고.md", "묶음.zip/입고 (2).md"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_many_members_of_one_name_and_names_that_are_none() -> None:
    start = time.perf_counter()
    package = Package(zipped([("글.md", "글")] * 4000), "묶음.zip")
    # Counting each from the beginning again took forty seconds.
    assert time.perf_counter() - start < 5
    assert package.names()[-1] == "글 (4000).md"
    odd = Package(zipped([(name, "글") for name in (".", ".", "..", "..", "가.d/.conf", "가.d/.conf")]), "묶음.zip")
    assert odd.names() == [".", ". (2)", "..", ".. (2)", "가.d/.conf", "가.d/.conf (2)"]
    taken = Package(zipped([(name, "글") for name in ("a.md", "a (2).md", "a.md", "a (2).md")]), "묶음.zip")
    assert taken.names() == ["a.md", "a (2).md", "a (3).md", "a (2) (2).md"]
    assert codes(read_archive(zipped([(".", "글"), (".", "글"), ("가.md", TEXT)]), "a.zip")) == [("a.zip/가.md", None)]


def test_one_document_of_a_zip_bears_readable_names_too() -> None:
    data = zipped([("XXXX.md", TEXT)]).replace(b"XXXX.md", "입고.md".encode("cp949"))
    assert [mark.label for mark in read_document(data, "a.zip").marks] == ["file 입고.md"]
