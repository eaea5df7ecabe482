"""The generator without a model: verbatim answers, spans, the share of a template, the bundled manual."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.bundled import manual_pages
from corpora.records import Candidate, Chunk, Document, Sample, Verdict
from generators.base import SlotPlan, Workspace
from generators.curation.curator import Curator
from generators.curation.settings import CurationSettings
from generators.extractive_forms import FORMS, filled, ordered_templates
from generators.extractive_qa import WEAK_RULES, ExtractiveQa, ExtractiveQaParams
from retrieval.chunking import chunk_document
from retrieval.embedders import HashedEmbedder
from retrieval.retriever import Retriever

BLOCKS = (
    "## 반품 송장 등록\n\n1. RT-120 화면에서 송장을 조회합니다.\n2. 수량을 입력합니다.\n3. [저장]을 누릅니다.",
    "반품 접수를 등록하려면 RT-120 화면에 송장 번호를 입력합니다. 그런 다음 저장합니다.",
    "회수란 배송사가 고객을 찾아가 상품을 받아 오는 과정을 말합니다.",
    "- **예정일** – 상자가 도착할 것으로 예상되는 날짜를 입력합니다.",
    "이를 등록하려면 화면을 엽니다.",
    "| 가 | 나 |\n| --- | --- |\n| 1 | 2 |",
    "> [!NOTE]\n> 반품 접수 기한이 지난 상자를 스캔하면 경고음이 울리고 송장 출력이 막힙니다.",
    "![그림](a.png)",
    "반품 접수 화면에는 다음 정보가 표시됩니다.\n\n- 접수 번호\n- 송장 번호",
    "**굵은 *글** 과 `코드",
)


class Seen:
    """A pool view of these samples."""

    def __init__(self, samples: Sequence[Sample] = ()) -> None:
        self.samples = samples

    def accepted(self) -> Sequence[Sample]:
        return self.samples


def workspace_of(documents: Sequence[Document]) -> Workspace:
    chunks = [chunk for document in documents for chunk in chunk_document(document)]
    embedder = HashedEmbedder.fit([chunk.text for chunk in chunks] or [""])
    return Workspace(chunks=tuple(chunks), retriever=Retriever.build(chunks, embedder))


def document(text: str, number: int = 0) -> Document:
    return Document(id=f"doc_{number}", title="반품 접수 관리", text=text, media_type="text/markdown")


def run(generator: ExtractiveQa, workspace: Workspace, chunk: Chunk, slot: int, seen: Seen) -> tuple[Candidate, ...]:
    plan = SlotPlan(slot=slot, generator=generator.name, heldout=False, seed=slot * 7919, source=chunk.id)
    return asyncio.run(generator.run(plan, workspace, seen)).candidates


def accepted(candidate: Candidate, number: int) -> Sample:
    return Sample(id=f"s{number}", candidate=candidate, accepted=True, verdict=Verdict(stage="accepted", reason="ok"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=6))
def test_answers_are_ranges_of_their_document(parts: list[str]) -> None:
    page = document("# 반품 접수 관리\n\n" + "\n\n".join(parts))
    workspace = workspace_of([page])
    for slot, chunk in enumerate(workspace.chunks):
        found = run(ExtractiveQa(), workspace, chunk, slot, Seen())
        for candidate in found:
            (span,) = candidate.provenance.spans
            assert page.text[span.start : span.end] == candidate.answer
            assert candidate.answer in chunk.text
            assert candidate.question.strip()
            assert candidate.question.endswith(("?", "."))
            assert not set("{}*`") & set(candidate.question)
            assert candidate.provenance.traits["template"] in candidate.provenance.prompt  # type: ignore[operator]
        assert found == run(ExtractiveQa(), workspace, chunk, slot, Seen()), "the same slot, the same candidates"


@settings(max_examples=25, deadline=None)
@given(share=st.floats(min_value=0.05, max_value=1), floor=st.integers(1, 4), count=st.integers(1, 30))
def test_no_template_gives_more_than_its_share(share: float, floor: int, count: int) -> None:
    workspace = workspace_of(
        [
            document(f"# 반품 접수 관리\n\n회수{n}란 배송사가 고객을 찾아가 상품을 받아 오는 과정을 말합니다.", n)
            for n in range(3)
        ]
    )
    generator = ExtractiveQa(ExtractiveQaParams(max_template_share=share, template_floor=floor))
    kept: list[Sample] = []
    for slot in range(count):
        for candidate in run(generator, workspace, workspace.chunks[slot % 3], slot, Seen(kept)):
            if candidate.rejection is None:
                kept.append(accepted(candidate, len(kept)))
            else:
                assert candidate.rejection.reason == "template_share"
        used = Counter(sample.candidate.provenance.traits["template"] for sample in kept)
        # The one that reaches the limit was counted against the samples before it.
        assert max(used.values(), default=0) <= max(floor, share * len(kept) + 1)


def test_other_generators_do_not_count() -> None:
    workspace = workspace_of([document(f"# 반품 접수 관리\n\n{BLOCKS[2]}")])
    generator = ExtractiveQa(ExtractiveQaParams(max_template_share=0.01, template_floor=1))
    (first,) = run(generator, workspace, workspace.chunks[0], 0, Seen())
    (second,) = run(generator, workspace, workspace.chunks[0], 0, Seen([accepted(first, 0)]))
    assert first.rejection is None
    assert second.rejection is None
    assert first.question != second.question, "the next form, since the first one's share is used up"


def test_every_form_can_be_filled() -> None:
    phrases = {
        "x": "입고",
        "when": "",
        "verb": "입력",
        "asked": "선택하나요",
        "value": "예로 설정하면",
        "column": "처리",
    }
    for rule in FORMS:
        names = ordered_templates(rule, 3, "key")
        assert sorted(names) == [f"{rule}.{number}" for number in range(len(FORMS[rule]))]
        assert all("{" not in filled(name, phrases) for name in names)


def test_gates() -> None:
    workspace = workspace_of([document(f"# 반품 접수 관리\n\n{BLOCKS[1]}")])
    short = ExtractiveQa(ExtractiveQaParams(max_answer_chars=20, rules="all"))
    (candidate,) = run(short, workspace, workspace.chunks[0], 0, Seen())
    assert candidate.rejection is not None
    assert candidate.rejection.reason == "answer_too_long"
    with pytest.raises(ValueError, match="has no chunk"):
        asyncio.run(short.run(SlotPlan(slot=0, generator="extractive_qa", heldout=False, seed=0), workspace, Seen()))


def test_rules_that_were_often_wrong_are_asked_for_by_name() -> None:
    workspace = workspace_of([document(f"# 반품 접수 관리\n\n{BLOCKS[1]}")])
    assert not run(ExtractiveQa(), workspace, workspace.chunks[0], 0, Seen())
    (candidate,) = run(ExtractiveQa(ExtractiveQaParams(rules="all")), workspace, workspace.chunks[0], 0, Seen())
    assert candidate.provenance.traits["template"].split(".")[0] in WEAK_RULES


def test_on_the_bundled_manual() -> None:
    """Most rows pass curation, no surface form dominates, and a question is asked in many forms."""
    pages = enumerate(manual_pages())
    workspace = workspace_of([document(page.read_text(encoding="utf-8"), number) for number, page in pages])
    curator = Curator(CurationSettings(), HashedEmbedder.fit([chunk.text for chunk in workspace.chunks]))
    generator = ExtractiveQa()
    kept: list[Sample] = []
    total = 0
    for slot, chunk in enumerate(workspace.chunks):
        for candidate in run(generator, workspace, chunk, slot, Seen(tuple(kept))):
            total += 1
            if curator.judge(candidate).stage == "accepted":
                kept.append(accepted(candidate, len(kept)))
                curator.remember(kept[-1])
    used = Counter(sample.candidate.provenance.traits["template"] for sample in kept)
    assert len(kept) >= 90
    assert len(kept) >= 0.85 * total
    assert max(used.values()) <= 0.15 * len(kept) + 1
    assert len(used) >= 14
