"""Curation of a dataset that is there: the same rows judged again under other settings, or only counted (preview).

What a generator's own gates refused and what could not be read keeps its verdict; everything else is judged anew, in
the order in which it came. A function of the stored rows and the settings: a new attempt decides the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services
from app.services.corpus_index import hashed_embedder
from app.services.curation_jobs import CURATE, curation_body, import_of
from app.services.curation_request import BulkCurationRequest, curation_settings
from app.services.datasets import require_dataset
from app.services.labels import Identifier
from app.store.jobs import hold
from app.store.paging import page
from app.store.queries import Session, change, find, listed
from app.store.samples import row_to_sample, stored_message
from app.store.tables import ChunkRow, CorpusRow, DatasetRow, DocumentRow, JobRow, SampleRow
from corpora.bundled import seed_tasks
from corpora.errors import InvalidInputError, NotFoundError
from corpora.records import Sample
from generators.curation.bulk import BulkCurator, BulkRow
from generators.curation.conversation import asked_text, whole_text
from generators.curation.decontamination import Contamination

__all__ = ["CurateParams", "CurationJobRequest", "create_curation", "get_curation", "list_curations", "run_curate"]

#: Rows of one transaction.
BATCH = 500
#: Thresholds whose outcome a preview tells, all from one search for pairs.
PREVIEWED = ("0.5", "0.55", "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95")
#: Stages whose verdict only the generator could reach.
KEPT_STAGES = frozenset({"parse", "grounding", "judge"})


class CurationJobRequest(BaseModel):
    """The body of ``POST /v1/datasets/{id}/curation/jobs``."""

    model_config = ConfigDict(extra="forbid")
    curation: BulkCurationRequest = BulkCurationRequest()
    against: list[Identifier] = Field([], max_length=20, description="Datasets whose rows must not be given away.")
    preview: bool = Field(False, description="Only count what would change.")


class CurateParams(CurationJobRequest):
    """What a curation job is asked."""

    dataset_id: str


def create_curation(services: Services, dataset_id: str, request: CurationJobRequest) -> dict[str, Any]:
    """Queue a curation job.

    Raises:
        NotFoundError: the dataset, or one that it is held against, is not there.
    """
    if dataset_id in request.against:
        raise InvalidInputError("A dataset cannot be held against itself.", param="against")
    with services.store.write(durable=True) as session:
        for wanted in (dataset_id, *request.against):
            require_dataset(session, wanted)
        params = CurateParams(dataset_id=dataset_id, **request.model_dump())
        job = services.jobs.submit(
            CURATE, params.model_dump(mode="json"), resources=[f"dataset:{dataset_id}"], session=session
        )
        session.flush()
        body = curation_body(job)
        services.answer(session, body)
    services.wake()
    return body


def get_curation(services: Services, dataset_id: str, job_id: str) -> dict[str, Any]:
    """One curation job of a dataset."""
    with services.store.read() as session:
        row = find(session, JobRow, JobRow.id == job_id, JobRow.kind == CURATE)
    if row is None or row.params["dataset_id"] != dataset_id:
        raise NotFoundError(f"Dataset '{dataset_id}' has no curation job '{job_id}'.", code="job_not_found")
    return curation_body(row)


def list_curations(
    services: Services, dataset_id: str, after: str | None, limit: int, order: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a dataset's curation jobs."""
    with services.store.read() as session:
        require_dataset(session, dataset_id)
        filters = (JobRow.kind == CURATE, JobRow.params["dataset_id"].as_string() == dataset_id)
        rows, more = page(session, JobRow, filters=filters, after=after, limit=limit, order=order)
        return [curation_body(row) for row in rows], more


def _stored(services: Services, dataset_id: str) -> Iterator[tuple[SampleRow, Sample]]:
    """Every sample of a dataset in the order in which it came, some at a time."""
    last = 0
    while True:
        with services.store.read() as session:
            rows = listed(session, SampleRow, SampleRow.dataset_id == dataset_id, SampleRow.seq > last, limit=BATCH)
        if not rows:
            return
        last = rows[-1].seq
        yield from ((row, row_to_sample(row)) for row in rows)


def _bulk_rows(services: Services, dataset_id: str) -> Iterator[BulkRow]:
    for row, sample in _stored(services, dataset_id):
        refused = not sample.accepted and row.stage in KEPT_STAGES and sample.candidate.malformed is None
        candidate = replace(sample.candidate, rejection=sample.verdict) if refused else sample.candidate
        yield BulkRow(row.id, candidate, sample.split)


def _contamination(services: Services, corpus_id: str | None, dataset_ids: list[str]) -> Contamination | None:
    """What was protected when the rows were made, the held-out pages, and what the request names besides."""
    found = Contamination()
    with services.store.read() as session:
        of_corpus = (DocumentRow.corpus_id == corpus_id, DocumentRow.heldout.is_(True))
        held = [row.id for row in listed(session, DocumentRow, *of_corpus)] if corpus_id else []
        for document_id in held:
            for chunk in listed(session, ChunkRow, ChunkRow.document_id == document_id, order_by=ChunkRow.index):
                found.protect_text(chunk.id, chunk.text)
    if not held and not dataset_ids:
        return None
    for dataset_id in dataset_ids:
        for row, sample in _stored(services, dataset_id):
            if sample.candidate.malformed is None:
                found.protect_row(row.id, asked_text(sample.candidate), whole_text(sample.candidate))
    return found


def _uses_seeds(session: Session, dataset_id: str) -> bool:
    return bool(
        listed(session, SampleRow, SampleRow.dataset_id == dataset_id, SampleRow.generator == "self_instruct", limit=1)
    )


def run_curate(services: Services, context: JobContext, params: CurateParams) -> JobOutcome:
    """Judge every row again; store what changed, unless it is a preview."""
    with services.store.read() as session:
        seeds = tuple(seed_tasks("all")) if _uses_seeds(session, params.dataset_id) else ()
        dataset = require_dataset(session, params.dataset_id)
        corpus = find(session, CorpusRow, CorpusRow.id == dataset.corpus_id) if dataset.corpus_id else None
        embedder = hashed_embedder(corpus) if corpus is not None else None
        generated = import_of(session, params.dataset_id) is None
    curation = BulkCurator(
        curation_settings(params.curation, generated=generated),
        # The one that judged these rows when they were made, where it is still there.
        embedder=embedder if params.curation.semantic else None,
        semantic=params.curation.semantic,
        contamination=_contamination(services, corpus.id if corpus is not None else None, params.against),
        seeds=seeds,
        remember_rows=params.preview,
    )
    # A preview stores nothing, so that every attempt counts from the start.
    counts = _Counts({} if params.preview else services.jobs.get(context.job_id).progress)
    samples = curation.run(lambda: _bulk_rows(services, params.dataset_id))
    while batch := list(islice(samples, BATCH)):
        pairs = _stored_pairs(services, batch)
        changed = [(row, sample) for row, sample in pairs if counts.add(row, sample)]
        if changed and not params.preview:
            _apply(services, context, params.dataset_id, changed, counts)
        context.progress(counts.progress())
        wanted = context.should_stop()
        if wanted is not None:
            return JobOutcome(status="paused" if wanted == "pause" else "cancelled", result=counts.body())
    result = counts.body()
    if params.preview:
        result["thresholds"] = curation.preview(PREVIEWED)
    what = "미리 보기" if params.preview else "다시 고르기"
    context.event("info", f"{what}: 채택 {result['accepted']}건, 거절 {result['rejected']}건", data=result)
    return JobOutcome(status="succeeded", result=result)


def _stored_pairs(services: Services, batch: list[Sample]) -> list[tuple[SampleRow, Sample]]:
    """Each sample with its row, by id; rows that were removed since they were read are left out."""
    with services.store.read() as session:
        rows = {r.id: r for r in listed(session, SampleRow, SampleRow.id.in_([sample.id for sample in batch]))}
    return [(rows[sample.id], sample) for sample in batch if sample.id in rows]


class _Counts:
    """What the new settings make of the rows: rows = accepted + rejected.

    What an earlier attempt has changed is changed already and is counted from where that attempt stood.
    """

    def __init__(self, earlier: dict[str, Any]) -> None:
        self.rows = 0
        self.accepted = 0
        self.newly_accepted = int(earlier.get("newly_accepted", 0))
        self.newly_rejected = int(earlier.get("newly_rejected", 0))
        self.rejections: Counter[str] = Counter()

    def add(self, row: SampleRow, sample: Sample) -> bool:
        """Count a row; True where something of it changes."""
        self.rows += 1
        self.accepted += sample.accepted
        if not sample.accepted:
            self.rejections[sample.verdict.reason] += 1
        was = row.status == "accepted"
        self.newly_accepted += sample.accepted and not was
        self.newly_rejected += was and not sample.accepted
        new = _columns(sample)
        # What decided is part of a row: it is told even where the decision is the same.
        decided = row.provenance.get("versions") != dict(sample.candidate.provenance.versions)
        return decided or any(getattr(row, name) != value for name, value in new.items())

    def progress(self) -> dict[str, Any]:
        """What a later attempt goes on from."""
        return {
            "rows": self.rows,
            "newly_accepted": self.newly_accepted,
            "newly_rejected": self.newly_rejected,
        }

    def body(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "accepted": self.accepted,
            "rejected": self.rows - self.accepted,
            "newly_accepted": self.newly_accepted,
            "newly_rejected": self.newly_rejected,
            "rejections": dict(self.rejections.most_common()),
        }


def _columns(sample: Sample) -> dict[str, Any]:
    """What a new judgement may change of a row."""
    verdict = sample.verdict
    return {
        "status": "accepted" if sample.accepted else "rejected",
        "stage": verdict.stage,
        "reason": verdict.reason,
        "score": verdict.score,
        "evidence": dict(verdict.evidence),
        "messages": [stored_message(message) for message in sample.candidate.messages],
        "flags": dict(sample.flags),
    }


def _apply(
    services: Services,
    context: JobContext,
    dataset_id: str,
    changed: list[tuple[SampleRow, Sample]],
    counts: _Counts,
) -> None:
    """Store new judgements in one transaction, and with them how many there are."""
    touched = any(row.status == "accepted" or sample.accepted for row, sample in changed)
    with services.store.write() as session:
        job = hold(session, context.job_id, context.attempt)
        job.crashes = 0
        job.progress = counts.progress()
        for row, sample in changed:
            versions = {"versions": dict(sample.candidate.provenance.versions)}
            # As it stands now: a newer revision of its document may have moved the spans since it was read.
            now = find(session, SampleRow, SampleRow.id == row.id)
            if now is not None:
                origin = now.provenance | versions
                change(session, SampleRow, SampleRow.id == row.id, **_columns(sample), provenance=origin)
        if touched:
            change(session, DatasetRow, DatasetRow.id == dataset_id, version=DatasetRow.version + 1)
