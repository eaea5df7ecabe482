"""Where samples come from, followed: deletions of any cited document, held-out rows of files, top-ups by coverage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.services import chunks, datasets, deletion, files, generation
from app.services.context import Services
from app.services.generation import GenerationParams, GenerationRequest
from app.services.generation_setup import read_setup
from app.services.generation_sources import read_sources
from app.store.generation import SqlSampleSink
from app.store.queries import find
from app.store.tables import JobRow
from corpora.errors import InvalidInputError
from corpora.records import Candidate, Message, Provenance, Sample, Span, Verdict
from generators.base import SlotPlan, SourceItem, Workspace
from generators.pool import Pool
from generators.ports import SlotOutcome, Usage
from generators.question_generation import QuestionGeneration, QuestionGenerationParams
from generators.speech_variants import SpeechVariants, SpeechVariantsParams
from tests.integration.services.conftest import RunNext

MakeCorpus = Callable[..., tuple[str, list[str]]]
QUESTION = "반품 상품은 어디에 보관하나요?"


def page(name: str) -> str:
    return f"# {name} 업무\n\n{name} 상품은 B-03 구역에 따로 보관하고 검수 담당자에게 알립니다.\n"


def sample(document_id: str, spans: tuple[Span, ...], traits: dict[str, Any], chunk_ids: tuple[str, ...]) -> Sample:
    origin = Provenance(
        generator="rag_qa", slot=0, document_id=document_id, chunk_ids=chunk_ids, spans=spans, traits=traits
    )
    turns = (Message(role="user", content=QUESTION), Message(role="assistant", content="B-03 구역에 보관합니다."))
    return Sample(
        id="sample_cites",
        candidate=Candidate(messages=turns, provenance=origin, grounded=True),
        accepted=True,
        verdict=Verdict(stage="accepted", reason="ok"),
        split="train",
    )


def stored(services: Services, corpus_id: str, one: Sample) -> str:
    """A dataset that holds this sample of slot 0 of a running job."""
    job = generation.create_job(services, GenerationRequest(corpus_id=corpus_id, heldout_fraction=0.0))
    row = services.jobs.claim("test", ["generate"])
    assert row is not None
    sink = SqlSampleSink(services.store, row.id, row.attempt, job["dataset_id"])
    sink.commit(SlotOutcome(slot=0, generator="rag_qa", samples=(one,), failed=None, usage=Usage()))
    dataset_id: str = job["dataset_id"]
    return dataset_id


def held(services: Services, dataset_id: str, document_id: str | None = None) -> list[dict[str, Any]]:
    wanted = datasets.SampleFilter(document_id=document_id)
    return datasets.list_samples(services, dataset_id, wanted, None, 100, "asc")[0]


@pytest.mark.parametrize("how", ["cited", "shown"])
def test_a_sample_goes_with_every_document_that_it_rests_on(
    services: Services, corpus: MakeCorpus, run_next: RunNext, how: str
) -> None:
    corpus_id, (own, other, third) = corpus(page("반품"), page("파손"), page("보류"))
    spans = (Span(document_id=own, start=0, end=5),)
    shown = [chunk["id"] for chunk in chunks.list_chunks(services, other, None, 100, "asc")[0]]
    if how == "cited":
        one = sample(own, (*spans, Span(document_id=other, start=0, end=5)), {}, tuple(shown))
    else:
        one = sample(own, spans, {"context": shown}, tuple(shown))
    dataset_id = stored(services, corpus_id, one)
    assert [len(held(services, dataset_id, document)) for document in (own, other, third)] == [1, 1, 0]
    assert deletion.delete_document(services, third)["datasets"] == []
    assert deletion.delete_document(services, other)["datasets"] == [dataset_id]
    assert [row["source_deleted"] for row in held(services, dataset_id)] == [True]


def test_samples_are_removed_with_a_document_that_they_only_cite(services: Services, corpus: MakeCorpus) -> None:
    corpus_id, (own, other) = corpus(page("반품"), page("파손"))
    both = (Span(document_id=own, start=0, end=5), Span(document_id=other, start=0, end=5))
    dataset_id = stored(services, corpus_id, sample(own, both, {}, ()))
    deletion.delete_document(services, other, delete_samples=True)
    assert held(services, dataset_id) == []


def test_variants_of_a_datasets_samples_keep_their_document(services: Services, corpus: MakeCorpus) -> None:
    corpus_id, (own,) = corpus(page("반품"))
    dataset_id = stored(services, corpus_id, sample(own, (Span(document_id=own, start=0, end=5),), {}, ("chunk_1",)))
    entry = {"type": "speech_variants", "seed_tasks": "builtin:wms", "source": dataset_id}
    (item,) = read_sources(services, [entry], 0.5).items["speech_variants"]
    assert item.origin is not None
    assert (item.origin.document_id, item.origin.chunk_ids, item.grounded) == (own, ("chunk_1",), True)
    generator = SpeechVariants(SpeechVariantsParams(method="rule", levels=("hae",)))
    plan = SlotPlan(slot=0, generator="speech_variants", heldout=False, seed=1, source=item.id)
    made = asyncio.run(generator.run(plan, Workspace(items={"speech_variants": (item,)}), Pool().until(0)))
    assert [one.provenance.document_id for one in made.candidates] == [own]
    assert [one.rejection for one in made.candidates] == [None]


def dialogues(count: int) -> bytes:
    rows = [
        {"instruction": f"{number}번 상자는 어디에 둡니까?", "input": "", "output": f"{number}번 선반에 둡니다."}
        for number in range(count)
    ]
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0), (0.1, 2), (0.5, 12)])
def test_rows_of_a_file_are_held_out_too_the_same_in_every_job(
    services: Services, fraction: float, expected: int
) -> None:
    data = dialogues(25)
    sides = []
    for name in ("한 번.jsonl", "또 한 번.jsonl"):
        file = files.create_file(services, name, "user_data", iter([data]))
        entry = {"type": "speech_variants", "seed_tasks": "builtin:wms", "source": file["id"]}
        found = read_sources(services, [entry], fraction)
        train, test = found.items["speech_variants"], found.heldout.get("speech_variants", ())
        assert (len(train), len(test)) == (25 - expected, expected)
        sides.append({row.messages[0].content for row in test})
    assert sides[0] == sides[1]


def test_a_job_over_a_file_plans_its_held_out_share(services: Services, run_next: RunNext) -> None:
    file = files.create_file(services, "질문.jsonl", "user_data", iter([dialogues(20)]))
    entry = {"type": "speech_variants", "source": file["id"], "method": "rule", "levels": ["hae"]}
    request = GenerationRequest.model_validate({"generators": [entry], "heldout_fraction": 0.25})
    job = generation.create_job(services, request)
    run_next("generate")
    rows = held(services, job["dataset_id"])
    assert {row["split"] for row in rows} == {"train", "test"}
    assert sum(row["split"] == "test" for row in rows) == 5
    assert {row["provenance"]["group"] for row in rows if row["split"] == "test"}.isdisjoint(
        row["provenance"]["group"] for row in rows if row["split"] == "train"
    )


def test_a_second_job_on_a_dataset_begins_with_what_the_first_left_out(services: Services, corpus: MakeCorpus) -> None:
    corpus_id, ids = corpus(page("반품"), page("파손"))
    (first,) = [chunk["id"] for chunk in chunks.list_chunks(services, ids[0], None, 100, "asc")[0]]
    one = sample(ids[0], (), {}, (first,))
    dataset_id = stored(services, corpus_id, one)
    with services.store.read() as session:
        row = find(session, JobRow, JobRow.kind == "generate")
        assert row is not None
        params = GenerationParams.model_validate(row.params)
    setup = read_setup(services, replace_dataset(params, dataset_id), None)
    train, _ = setup.sides(None)
    assert train.used == {first: 1}
    # Its question is shown as known: the second job asks for others.
    assert [candidate.question for candidate in train.known(first, Pool().until(0))] == [QUESTION]


def replace_dataset(params: GenerationParams, dataset_id: str) -> GenerationParams:
    return params.model_copy(update={"dataset_id": dataset_id})


def test_a_source_without_passages_is_refused_before_anything_is_sent(services: Services) -> None:
    row = SourceItem(id="r", messages=(Message(role="user", content=QUESTION),))
    side = Workspace(items={"question_generation": (row,)})
    generator = QuestionGeneration(QuestionGenerationParams(passages="source"))
    with pytest.raises(InvalidInputError, match="passage"):
        generator.sources(side)
    with_text = Workspace(items={"question_generation": (replace(row, text="반품은 검수합니다."),)})
    assert len(generator.sources(with_text)) >= 1
