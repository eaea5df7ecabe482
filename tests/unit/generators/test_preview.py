"""A preview tells for each threshold what a run at that threshold keeps: meaning, seeds, best, all tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.bundled.loader import SeedTask
from corpora.korean.personal_data import PersonalDataAction
from corpora.records import Candidate, Message, Provenance
from generators.curation.bulk import BulkCurator, BulkRow
from generators.curation.settings import import_settings
from retrieval.embedders import HashedEmbedder
from tests.unit.generators.test_bulk import ANSWERS, CANDIDATES, QUESTIONS, candidate, rows_of

THRESHOLDS = ("0.5", "0.55", "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95")
SEEDS = tuple(
    SeedTask(id=f"seed_{n}", name="wms", instruction=text, instances=(("", "답."),), is_classification=False)
    for n, text in enumerate(("입고 예정을 어떻게 등록합니까?", "WMS 도입 비용은 얼마나 됩니까?"))
)
EMBEDDER = HashedEmbedder.fit([*QUESTIONS, *ANSWERS])


def kept(rows: Sequence[BulkRow], seeds: Sequence[SeedTask], **changes: Any) -> int:
    curation = BulkCurator(import_settings(**changes), embedder=EMBEDDER, seeds=seeds)
    return sum(sample.accepted for sample in curation.run(lambda: rows))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(CANDIDATES, max_size=25),
    st.sampled_from(["first", "best"]),
    st.sampled_from([0.4, 0.6, 1.0]),
    st.integers(0, len(SEEDS)),
    st.sampled_from(["content_morphemes", "character", "english"]),
)
def test_a_preview_is_what_a_run_at_each_threshold_keeps(
    candidates: list[Candidate], keep: str, near: float, seeds: int, tokenizer: str
) -> None:
    rows = rows_of(candidates)
    changes = {"keep": keep, "semantic_threshold": near, "tokenizer": tokenizer}
    curation = BulkCurator(import_settings(**changes), embedder=EMBEDDER, seeds=SEEDS[:seeds], remember_rows=True)
    list(curation.run(lambda: rows))
    told = curation.preview(THRESHOLDS)
    assert told == {t: kept(rows, SEEDS[:seeds], near_duplicate_threshold=t, **changes) for t in THRESHOLDS}


def test_what_repeats_a_seed_or_a_meaning_is_in_no_threshold() -> None:
    rows = rows_of([candidate("입고 예정은 어떻게 등록하나요?", ANSWERS[0]), candidate(QUESTIONS[6], ANSWERS[2])])
    curation = BulkCurator(import_settings(semantic_threshold=0.6), embedder=EMBEDDER, seeds=SEEDS, remember_rows=True)
    list(curation.run(lambda: rows))
    assert curation.preview(["0.5", "0.95"]) == {"0.5": 1, "0.95": 1}


def test_a_preview_without_rows() -> None:
    with pytest.raises(ValueError, match="remember_rows"):
        BulkCurator(import_settings()).preview(["0.7"])
    curation = BulkCurator(import_settings(), remember_rows=True)
    assert list(curation.run(lambda: [])) == []
    assert curation.preview(["0.5", "0.7"]) == {"0.5": 0, "0.7": 0}


NUMBERS = [
    f"담당자 전화번호는 010-2345-67{n:02}이고 {word} 문의는 여기로 합니까?" for n, word in enumerate("입출반재적검")
]


@pytest.mark.parametrize("masked", range(len(NUMBERS) + 1))
def test_decisions_do_not_depend_on_how_many_rows_are_masked_already(masked: int) -> None:
    """An attempt that was killed leaves rows that are masked; the embedder must be the one of the first attempt."""
    wanted = import_settings(personal_data=PersonalDataAction.MASK, semantic_threshold=0.5)
    fresh = [BulkRow(f"sample_{n}", talk(text)) for n, text in enumerate(NUMBERS)]
    whole = list(BulkCurator(wanted).run(lambda: fresh))
    assert "가림" in whole[0].candidate.question
    again = [BulkRow(s.id, s.candidate) for s in whole[:masked]] + fresh[masked:]
    assert list(BulkCurator(wanted).run(lambda: again)) == whole


def talk(question: str) -> Candidate:
    messages = (Message(role="user", content=question), Message(role="assistant", content=ANSWERS[0]))
    return Candidate(messages=messages, provenance=Provenance(generator="imported", slot=0))


PIECES = (
    *("010-2345-6789", "계좌번호", "123-456789-01-234", "전화", " ", ",", "/", "850101-1234567", "여권", "M12345678"),
    *("부산시 해운대구 우동 1393번지", "a@b.co.kr", "카드번호 4111-1111-1111-1111", "담당", "\n", "1234567890"),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_masking_again_changes_nothing(parts: list[str]) -> None:
    curator_settings = import_settings(personal_data=PersonalDataAction.MASK)
    rows = [BulkRow("sample_1", talk(" ".join(parts) or "없음"))]
    (once,) = BulkCurator(curator_settings, semantic=False).run(lambda: rows)
    again = [BulkRow("sample_1", once.candidate)]
    (twice,) = BulkCurator(curator_settings, semantic=False).run(lambda: again)
    assert twice == once


def test_every_setting_that_decides_is_named() -> None:
    def versions(**changes: Any) -> dict[str, str]:
        rows = rows_of([candidate(QUESTIONS[0], ANSWERS[0])])
        (sample,) = BulkCurator(import_settings(**changes), embedder=EMBEDDER).run(lambda: rows)
        return sample.candidate.provenance.versions

    usual = versions()
    limits = import_settings().limits
    others: tuple[dict[str, Any], ...] = (
        {"near_duplicate_threshold": "0.8"},
        {"tokenizer": "character"},
        {"guards": ()},
        {"domain_nouns": ("마감대사",)},
        {"semantic_threshold": 0.9},
        {"speech_level": {"user": "any", "assistant": "polite"}},
        {"personal_data": PersonalDataAction.MASK},
        {"keep": "best"},
        *({"limits": replace(limits, **{f.name: getattr(limits, f.name) * 2})} for f in fields(limits)),
    )
    for changes in others:
        assert versions(**changes) != usual, changes
