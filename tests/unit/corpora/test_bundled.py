"""The bundled manual and seed tasks are what they are said to be."""

from __future__ import annotations

import json
import unicodedata

import pytest

from corpora.bundled import manual_pages, seed_tasks
from corpora.bundled.loader import parse_seed_tasks
from corpora.errors import InvalidInputError
from corpora.korean.speech import is_polite
from corpora.markdown import blocks
from retrieval.near_duplicates import LexicalDuplicates

SUBJECTS = ("입고", "검수", "적치", "로케이션", "실사", "피킹", "패킹", "출고", "반품", "로트", "인터페이스", "권한")


def test_the_manual_is_a_dozen_pages_of_60_to_100_kb() -> None:
    pages = manual_pages()
    assert len(pages) == 12
    assert 60_000 <= sum(page.stat().st_size for page in pages) <= 100_000
    titles = [blocks(page.read_text(encoding="utf-8"))[0].text for page in pages]
    for subject, title in zip(SUBJECTS, titles, strict=True):
        assert subject in title


@pytest.mark.parametrize("page", manual_pages(), ids=lambda page: page.stem)
def test_a_page_has_headings_procedures_tables_and_is_polite(page: object) -> None:
    text = page.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    found = blocks(text)
    kinds = [block.kind for block in found]
    assert unicodedata.is_normalized("NFC", text)
    assert kinds.count("heading") >= 7
    assert sum(block.kind == "list" and block.ordered for block in found) >= 2
    assert kinds.count("table") >= 1
    assert any(character.isdigit() for character in text)
    for block in found:
        if block.kind == "paragraph":
            assert is_polite(block.text), block.text


def test_headings_are_unique_over_all_pages() -> None:
    headings = [b.text for p in manual_pages() for b in blocks(p.read_text(encoding="utf-8")) if b.kind == "heading"]
    assert len(headings) == len(set(headings))


def test_seed_tasks() -> None:
    wms, general = seed_tasks("builtin:wms"), seed_tasks("general")
    both = seed_tasks("builtin:all")
    assert both == wms + general
    assert len(both) >= 60
    assert abs(len(wms) - len(general)) <= 4
    assert 0.18 <= sum(task.is_classification for task in both) / len(both) <= 0.25
    assert len({task.id for task in both}) == len(both)
    kept = LexicalDuplicates("0.7")
    for task in both:
        assert kept.find(task.instruction) is None, task.instruction
        kept.add(task.id, task.instruction)
        if task.is_classification:
            assert all(given for given, _ in task.instances)


def test_wrong_seed_tasks_are_named() -> None:
    with pytest.raises(InvalidInputError, match="no seed set 'builtin:none'"):
        seed_tasks("builtin:none")
    row = {"id": "a", "name": "b", "instruction": "", "instances": [], "is_classification": False}
    with pytest.raises(InvalidInputError, match="line 2"):
        parse_seed_tasks(["", json.dumps(row)])
    with pytest.raises(InvalidInputError, match="line 1"):
        parse_seed_tasks(["{"])
