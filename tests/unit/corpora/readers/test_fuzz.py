"""Files that are cut, changed or nothing at all: a document with text or an error that says why, nothing else."""

from __future__ import annotations

import io
import random
import re
import zipfile

import pytest

from corpora.errors import UnreadableDocumentError
from corpora.readers import READERS, read_document
from tests.fixture_writer import WRITERS, zipped


def outcome(data: bytes, name: str) -> str:
    """The error's code, or ``read``."""
    try:
        document = read_document(data, name)
    except UnreadableDocumentError as exc:
        return exc.code if name in exc.message else f"nameless {exc.code}"
    assert document.text.strip()
    assert document.title
    document.text.encode()  # no lone surrogates
    return "read"


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_cut_at_every_512th_byte(suffix: str) -> None:
    whole = WRITERS[suffix]()
    for end in range(0, len(whole), 512):
        found = outcome(whole[:end], f"잘림{suffix}")
        if suffix in (".docx", ".xlsx", ".pptx", ".hwpx", ".zip"):  # their list of parts stands at the end
            assert found in ("empty_file", "damaged_file")
        if end == 0:
            assert found == "empty_file"


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_random_bytes(suffix: str) -> None:
    dice = random.Random(7)
    for size in (1, 3):  # one byte may well be a letter
        outcome(dice.randbytes(size), f"아무거나{suffix}")
    for size in (64, 511, 4096):
        assert outcome(dice.randbytes(size), f"아무거나{suffix}") != "read"
    for start in (b"PK\x03\x04", b"%PDF-1.7\n", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"<html>", b"HWP Document File"):
        outcome(start + dice.randbytes(2000), f"아무거나{suffix}")


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The bytes with a few changes: flipped, overwritten, doubled or dropped."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at, length = dice.randrange(len(out)), dice.randint(1, 40)
        how = dice.randrange(4)
        if how == 0:
            out[at] ^= 1 << dice.randrange(8)
        elif how == 1:
            out[at : at + length] = dice.randbytes(length)
        elif how == 2:
            out[at:at] = out[at : at + length]
        elif len(out) > length + 1:
            del out[at : at + length]
    return bytes(out)


def mutated_within(data: bytes, dice: random.Random) -> bytes:
    """A zip whose members are changed and whose checksums are right again: the reader behind the zip meets them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members: dict[str, bytes | str] = {name: archive.read(name) for name in archive.namelist()}
    parts = [name for name in members if name.endswith((".xml", ".rels", ".hpf", ".md", ".csv"))]
    name = dice.choice(parts)
    content = members[name]
    assert isinstance(content, bytes)
    if dice.random() < 0.5:
        # Values and names stay well-formed XML: what is wrong is what they say.
        found = list(re.finditer(rb'"([^"<>]*)"|<(/?[\w:]+)', content))
        for match in dice.sample(found, min(3, len(found))):
            word = (
                dice.choice((b'"-1"', b'"99999999999"', b'""', b'"x"')) if match.group(1) is not None else match.group()
            )
            content = content.replace(match.group(), word, dice.randint(1, 3))
        members[name] = content
    else:
        members[name] = mutated(content, dice)
    return zipped(members)


def fuzz(count: int, seed: int) -> dict[str, int]:
    dice = random.Random(seed)
    good = {suffix: write() for suffix, write in WRITERS.items()}
    found: dict[str, int] = {}
    for number in range(count):
        suffix = sorted(good)[number % len(good)]
        within = good[suffix].startswith(b"PK") and dice.random() < 0.8
        data = (mutated_within if within else mutated)(good[suffix], dice)
        code = outcome(data, f"변이{number}{suffix}")
        found[code] = found.get(code, 0) + 1
    assert sum(found.values()) == count
    assert not [code for code in found if code.startswith("nameless")]
    return found


def test_sixty_mutated_files() -> None:
    found = fuzz(60, 1)
    assert found.get("read", 0) > 0
    assert len(found) > 1


@pytest.mark.long
def test_five_hundred_mutated_files() -> None:
    found = fuzz(500, 2)
    assert found.get("read", 0) > 0
    assert len(found) > 1
