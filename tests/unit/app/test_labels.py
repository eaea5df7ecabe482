"""Names of files are made harmless, not refused, and nothing is changed without a word."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.labels import MAX_FILE_NAME, file_label


@pytest.mark.parametrize(
    ("sent", "label", "told"),
    [
        ("입고.md", "입고.md", 0),
        ("입고/절차 1.md", "입고/절차 1.md", 0),
        ("../../etc/passwd", "etc/passwd", 1),
        ("..\\..\\입고.md", "입고.md", 1),
        ("C:\\문서\\입고.md", "문서/입고.md", 0),
        ("/입고.md", "입고.md", 0),
        ("입\0고\n.md", "입고.md", 1),
        ("..\0/..", "document", 2),
        ("", "document", 0),
        ("\ud800입고.md", "입고.md", 1),
        ("gpj.\u202eexe", "gpj.exe", 1),
        (unicodedata.normalize("NFD", "입고.md"), "입고.md", 0),
        ("가" * 1365 + ".hwpx", "가" * 250 + ".hwpx", 1),
        ("가." + "나" * 400, "가." + "나" * 253, 1),
    ],
)
def test_labels(sent: str, label: str, told: int) -> None:
    found, warnings = file_label(sent)
    assert found == label
    assert len(warnings) == told


@given(st.text(st.characters(), max_size=400) | st.text("./\\ 가\0:C", max_size=30))
def test_every_label_is_safe_and_stays_what_it_is(sent: str) -> None:
    label, _ = file_label(sent)
    assert 0 < len(label) <= MAX_FILE_NAME
    assert not {"", ".", ".."} & set(label.split("/"))
    assert "\\" not in label
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in label)
    assert unicodedata.is_normalized("NFC", label)
    assert file_label(label) == (label, ())
