"""Personal data in Korean text: finding it, and masking it with placeholders that say what was there.

Shapes, checksums and the word that labels a number; no model, no dictionary of names (a person's name alone is not
found), no network. A warehouse is full of numbers that look like people: a Korean barcode (880…) has the shape of a
resident number of 1988, a lot number that of a birth date. So a bare number counts only behind a word that says what
it is, and a word such as 운송장 or 로트 that stands nearer speaks for goods. ::

    found = find_personal_data("담당자 연락처는 010-2345-6789입니다.")
    mask("담당자 연락처는 010-2345-6789입니다.", confident(found))   # 담당자 연락처는 [전화번호 가림]입니다.

What only might be personal data has confidence ``low``: report it, and never mask or reject for it unasked.
"""

from __future__ import annotations

from corpora.korean.personal_data.finder import KINDS, confident, find_personal_data, mask
from corpora.korean.personal_data.model import (
    DEFAULT_KINDS,
    PLACEHOLDERS,
    Confidence,
    PersonalData,
    PersonalDataAction,
)

__all__ = [
    "DEFAULT_KINDS",
    "KINDS",
    "PLACEHOLDERS",
    "Confidence",
    "PersonalData",
    "PersonalDataAction",
    "confident",
    "find_personal_data",
    "mask",
]
