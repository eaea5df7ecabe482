"""Numbers of people and companies given by the state: resident, foreigner, business, corporate, passport, licence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpora.korean.personal_data.checksums import (
    birth_date,
    business_check,
    corporate_check,
    ean13_check,
    foreigner_check,
    resident_check,
)
from corpora.korean.personal_data.labels import Topic
from corpora.korean.personal_data.line import LEFT, RIGHT, Hit, Label, Line

__all__ = [
    "business_numbers",
    "corporate_numbers",
    "driving_licences",
    "foreigner_numbers",
    "is_goods_barcode",
    "passports",
    "resident_numbers",
]

_BIRTH = r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_PERSON = re.compile(rf"{LEFT}{_BIRTH}(?P<gap> ?- ?| ?)[1-8][0-9]{{6}}{RIGHT}")
_BUSINESS = re.compile(rf"{LEFT}(?:[0-9]{{3}}(?P<gap>-)[0-9]{{2}}-[0-9]{{5}}|[0-9]{{10}}){RIGHT}")
_CORPORATE = re.compile(rf"{LEFT}[0-9]{{6}}(?P<gap> ?- ?)?[0-9]{{7}}{RIGHT}")
#: Letters of ordinary, single-trip, residence, official and diplomatic passports. Since December 2021 the fourth place
#: behind the letter is a letter too.
_PASSPORT = re.compile(rf"{LEFT}[MSRGDmsrgd][0-9]{{3}}(?:[0-9]{{5}}|(?P<new>[A-Za-z])[0-9]{{4}}){RIGHT}")
_PLACES = "서울|부산|경기|강원|충북|충남|전북|전남|경북|경남|제주|대구|인천|광주|대전|울산"
#: 11 to 28 stand for the issuing police agency; before, its name did.
_LICENCE = re.compile(
    rf"{LEFT}(?:(?:1[1-9]|2[0-8])(?P<gap>-)?[0-9]{{2}}(?(gap)-)[0-9]{{6}}(?(gap)-)[0-9]{{2}}"
    rf"|(?P<named>{_PLACES}) ?[0-9]{{2}}-[0-9]{{6}}-[0-9]{{2}}){RIGHT}"
)
#: Births that a dashed number without a label is believed: before, and after, lot numbers that open with a date
#: (240115-1234567) are likelier than a person of ninety or a child.
_BELIEVED = range(1935, 2015)


def _digits(text: str) -> str:
    return re.sub("[^0-9]", "", text)


def _says(label: Label | None, *topics: Topic) -> bool:
    return label is not None and label.topic in topics


def is_goods_barcode(digits: str) -> bool:
    """Whether 13 digits are a barcode of Korea: prefix 880 and a valid check digit."""
    return len(digits) == 13 and digits.startswith("880") and ean13_check(digits)


def _people(line: Line, *, foreign: bool) -> Iterator[Hit]:
    for match in line.matches(_PERSON):
        digits = _digits(match[0])
        born = birth_date(digits)
        if born is None or foreign != (digits[6] in "5678"):
            continue
        label = line.label(*match.span())
        passed = (foreigner_check if foreign else resident_check)(digits)
        labelled = _says(label, Topic.RESIDENT)
        if "-" not in match["gap"]:
            believed = labelled and not is_goods_barcode(digits)
            high = True
        elif _says(label, Topic.CODE):
            believed, high = passed, False
        else:
            believed = not _says(label, Topic.CORPORATE)
            high = labelled or born.year in _BELIEVED
        if believed:
            yield Hit(start=match.start(), end=match.end(), high=high, checksum=passed, label=label)


def resident_numbers(line: Line) -> Iterator[Hit]:
    """주민등록번호: dashed with a real birth date, or bare behind a label. A failed checksum clears nothing."""
    return _people(line, foreign=False)


def foreigner_numbers(line: Line) -> Iterator[Hit]:
    """외국인등록번호: as resident numbers, with 5 to 8 for the gender."""
    return _people(line, foreign=True)


def business_numbers(line: Line) -> Iterator[Hit]:
    """사업자등록번호: dashed 3-2-5 with its checksum, or behind a label."""
    for match in line.matches(_BUSINESS):
        passed = business_check(_digits(match[0]))
        label = line.label(*match.span())
        labelled = _says(label, Topic.BUSINESS)
        elsewhere = _says(label, Topic.CODE, Topic.ACCOUNT, Topic.BANK)
        if labelled or (match["gap"] and passed and not elsewhere):
            yield Hit(start=match.start(), end=match.end(), high=passed, checksum=passed, label=label)


def corporate_numbers(line: Line) -> Iterator[Hit]:
    """법인등록번호: 6-7 digits behind a label; bare only with its checksum."""
    for match in line.matches(_CORPORATE):
        digits = _digits(match[0])
        label = line.label(*match.span())
        passed = corporate_check(digits)
        if _says(label, Topic.CORPORATE) and (match["gap"] or (passed and not is_goods_barcode(digits))):
            yield Hit(start=match.start(), end=match.end(), high=passed, checksum=passed, label=label)


def passports(line: Line) -> Iterator[Hit]:
    """여권번호: M12345678 behind a label; M123A4567 is low without one, since article codes look like it."""
    for match in line.matches(_PASSPORT):
        label = line.label(*match.span())
        labelled = _says(label, Topic.PASSPORT)
        alone = match["new"] and match[0].isupper() and not _says(label, Topic.CODE)
        if labelled or alone:
            yield Hit(start=match.start(), end=match.end(), high=labelled, label=label)


def driving_licences(line: Line) -> Iterator[Hit]:
    """운전면허번호: 11-24-123456-01 or 서울 12-123456-78. Without a label low, bare digits only with one."""
    for match in line.matches(_LICENCE):
        label = line.label(*match.span())
        labelled = _says(label, Topic.LICENCE)
        shaped = match["gap"] or match["named"]
        if labelled or (shaped and not _says(label, Topic.CODE, Topic.ACCOUNT, Topic.BANK)):
            yield Hit(start=match.start(), end=match.end(), high=labelled, label=label)
