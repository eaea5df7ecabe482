"""Questions by rule: verbatim answers, Korean particles, guards against questions that need their document."""

from __future__ import annotations

import asyncio

import pytest

from corpora.bundled import manual_pages
from corpora.records import Chunk, Document
from generators.base import SlotPlan, Workspace
from generators.curation.curator import Curator
from generators.curation.settings import CurationSettings
from generators.extractive_qa import ExtractiveQa, ExtractiveQaParams
from generators.extractive_rules import Draft, drafts
from generators.particles import with_particle
from retrieval.chunking import chunk_document
from retrieval.embedders import HashedEmbedder
from retrieval.retriever import Retriever


def chunk(text: str) -> Chunk:
    return Chunk(id="chunk_1", document_id="doc_1", index=0, text=text, start=100, end=100 + len(text))


def made(text: str) -> dict[str, Draft]:
    return {draft.rule: draft for draft in drafts(chunk(text), seed=0)}


def answers(text: str) -> dict[str, str]:
    return {rule: text[draft.start : draft.end] for rule, draft in made(text).items()}


def test_a_purpose_sentence() -> None:
    text = "반품을 등록하려면 RT-120 화면에서 송장 번호를 조회합니다. 이후 저장합니다."
    assert made(text)["purpose"].question.startswith("반품을 등록하려면 ")
    assert answers(text) == {"purpose": "반품을 등록하려면 RT-120 화면에서 송장 번호를 조회합니다."}


def test_a_procedure_with_its_steps() -> None:
    text = "입고를 확정하려면 다음 순서대로 진행합니다.\n\n1. 수량을 셉니다.\n2. 서명합니다.\n\n끝으로 문을 닫습니다."
    assert answers(text) == {
        "procedure": "입고를 확정하려면 다음 순서대로 진행합니다.\n\n1. 수량을 셉니다.\n2. 서명합니다."
    }


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("로트란 같은 조건에서 만든 상품의 묶음을 말합니다.", "로트"),
        ("피킹이란 상품을 꺼내 모으는 작업입니다.", "피킹"),
        ("유통기한 우선 할당(FEFO)이란 기한이 빠른 재고부터 내보내는 규칙을 뜻합니다.", "유통기한 우선 할당(FEFO)"),
    ],
)
def test_a_definition(text: str, term: str) -> None:
    assert made(text)["definition"].question.startswith(term)
    assert answers(text)["definition"] == text


def test_a_heading_is_answered_by_its_paragraphs() -> None:
    text = "## 반품 접수를 등록하는 방법\n\n고객이 보낸 상품을 RT-110 화면에 등록합니다.\n\n- 첫째\n"
    assert "반품 접수를 등록하는 방법" in made(text)["heading_told"].question
    assert answers(text)["heading_told"] == "고객이 보낸 상품을 RT-110 화면에 등록합니다."


@pytest.mark.parametrize(
    "text",
    [
        "## 개요\n\n이 문서는 입고를 설명합니다.",
        "# 입고 관리 매뉴얼\n\n입고를 설명합니다.",
        "이를 등록하려면 화면을 엽니다.",
        "해당 상품을 출고하려면 승인을 받습니다.",
        "## 입고 검수 항목 목록\n\n다음 표를 확인합니다.\n\n| 가 | 나 |\n| --- | --- |\n| 1 | 2 |\n",
        "하려면 합니다.",
        "그것이란 무엇을 말합니다.",
        "재고가 있습니다.",
    ],
)
def test_guards(text: str) -> None:
    assert not made(text)


def test_particles() -> None:
    assert with_particle("입고", "을/를") == "입고를"
    assert with_particle("검수 절차서", "은/는") == "검수 절차서는"
    assert with_particle("로케이션", "이/가") == "로케이션이"
    assert with_particle("피킹", "이란/란") == "피킹이란"


def pages() -> tuple[list[Document], list[Chunk]]:
    documents = [
        Document(id=f"doc_{i}", title=page.stem, text=page.read_text(encoding="utf-8"), media_type="text/markdown")
        for i, page in enumerate(manual_pages())
    ]
    return documents, [made for document in documents for made in chunk_document(document)]


def test_on_the_bundled_manual() -> None:
    """Every answer is the range of its document that its span names, and most rows pass curation."""
    documents, chunks = pages()
    texts = {document.id: document.text for document in documents}
    embedder = HashedEmbedder.fit([c.text for c in chunks])
    workspace = Workspace(chunks=tuple(chunks), retriever=Retriever.build(chunks, embedder))
    curator = Curator(CurationSettings(), embedder)
    generator = ExtractiveQa(ExtractiveQaParams())
    accepted = total = 0
    for slot, source in enumerate(generator.sources(workspace)):
        plan = SlotPlan(slot=slot, generator=generator.name, heldout=False, seed=slot, source=source)
        for candidate in asyncio.run(generator.run(plan, workspace, None)).candidates:  # type: ignore[arg-type]
            (span,) = candidate.provenance.spans
            assert texts[span.document_id][span.start : span.end] == candidate.answer
            assert "{" not in candidate.question
            total += 1
            accepted += curator.judge(candidate).stage == "accepted"
    assert accepted >= 110
    assert accepted / total >= 0.85
