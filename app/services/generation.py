"""Generation jobs: what the API accepts, the plan it becomes, and the job as the API shows it.

The job itself runs in ``app.services.generating``. A request is checked completely before the job row is written, in
one transaction with the dataset it makes and the hold-out it assigns.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.services.context import Services
from app.services.corpora import require_corpus
from app.services.curation_request import CurationRequest
from app.services.datasets import add_dataset, require_dataset
from app.services.generation_entries import resolve_entries
from app.services.labels import Identifier, Label, Storable
from app.store.paging import page
from app.store.queries import Session, count, count_by, find, listed, lock
from app.store.slots import slot_totals
from app.store.tables import CorpusRow, DatasetRow, DocumentRow, JobRow, SampleRow
from corpora.errors import ConflictError, NotFoundError

__all__ = [
    "BudgetRequest",
    "GenerationRequest",
    "Target",
    "create_job",
    "get_job",
    "job_body",
    "list_jobs",
    "require_job",
    "resume_job",
    "stop_job",
]

KIND = "generate"
Target = Annotated[int, Field(ge=1, le=10_000_000)]
Limit = Annotated[int, Field(ge=0, le=10**15)]


class BudgetRequest(BaseModel):
    """Upper limits of what a job may spend; null is no limit."""

    model_config = ConfigDict(extra="forbid")
    max_requests: Limit | None = None
    max_tokens: Limit | None = None
    max_cost_usd: None = Field(None, description="No model has a price yet: limit requests or tokens.")


class GenerationRequest(BaseModel):
    """The body of ``POST /v1/generation/jobs``."""

    model_config = ConfigDict(extra="forbid")
    corpus_id: Identifier | None = None
    dataset_id: Identifier | None = None
    dataset_name: Annotated[Label, Field(min_length=1, max_length=200)] | None = None
    target: Target | None = Field(None, description="Accepted samples to stop at; null uses up the plan.")
    seed: int = Field(7, ge=0, le=2**31 - 1)
    generators: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=16), Storable] | None = Field(
        None, description="Each with `type` and that generator's parameters; GET /v1/generators has their schemas."
    )
    model: Identifier | None = None
    judge_model: None = Field(None, description="There is no judge yet.")
    dry_run: Literal[False] = Field(False, description="There is no dry run yet.")
    heldout_fraction: float = Field(0.1, ge=0.0, le=0.5)
    budget: BudgetRequest = BudgetRequest()
    curation: CurationRequest = CurationRequest()


class GenerationParams(GenerationRequest):
    """What the job row keeps: the request, resolved, with the documents of each side fixed."""

    generators: list[dict[str, Any]]
    dataset_id: str
    train_documents: list[str]
    heldout_documents: list[str]


def assign_heldout(session: Session, corpus: CorpusRow, fraction: float) -> tuple[list[str], list[str]]:
    """Hold-out belongs to the document: decided once, by order of sha256, up to floor(fraction x documents).

    A document that trained once never becomes a test, nor the other way round: only documents that no job has read
    yet are assigned. The corpus's row is locked meanwhile.

    Returns:
        Ids of the training documents and of the held-out ones, each by order of sha256.
    """
    processed = (DocumentRow.corpus_id == corpus.id, DocumentRow.status == "processed")
    lock(session, CorpusRow, CorpusRow.id == corpus.id)
    rows = listed(session, DocumentRow, *processed, order_by=DocumentRow.sha256)
    # By its decimal digits: 0.29 * 100 is 28.999999999999996.
    wanted = math.floor(Fraction(str(fraction)) * len(rows)) - sum(bool(row.heldout) for row in rows)
    for row in rows:
        if row.heldout is None:
            row.heldout = wanted > 0
            wanted -= row.heldout
    corpus.heldout_fraction = fraction
    return [r.id for r in rows if not r.heldout], [r.id for r in rows if r.heldout]


def _refuse_unfinished(session: Session, corpus: CorpusRow) -> None:
    """A job that began now would leave out, without a word, what is still being read."""
    unfinished = count(session, DocumentRow, DocumentRow.corpus_id == corpus.id, DocumentRow.status == "processing")
    if unfinished:
        raise ConflictError(
            f"{unfinished} document(s) of '{corpus.id}' are still being processed; wait until their status is "
            f"'processed' (GET /v1/corpora/{corpus.id}/documents), then start the job.",
            param="corpus_id",
            code="documents_processing",
        )


def create_job(services: Services, request: GenerationRequest) -> dict[str, Any]:
    """Check the request, fix its inputs and submit the job.

    Raises:
        InvalidInputError: a field is wrong; ``param`` names it.
        NotFoundError: the corpus or the dataset is not there.
        ConflictError: the corpus has no document, or some that are still being processed.
    """
    with services.store.write(durable=True) as session:
        corpus = require_corpus(session, request.corpus_id) if request.corpus_id else None
        entries = resolve_entries(
            services.settings, request.generators, corpus_id=request.corpus_id, model=request.model
        )
        train: list[str] = []
        heldout: list[str] = []
        if corpus is not None:
            _refuse_unfinished(session, corpus)
            train, heldout = assign_heldout(session, corpus, request.heldout_fraction)
            if not train:
                raise ConflictError(
                    f"Corpus '{corpus.id}' has no processed document; upload one and wait until its status is "
                    "'processed'.",
                    param="corpus_id",
                    code="corpus_empty",
                )
        if request.dataset_id is not None:
            dataset_id = require_dataset(session, request.dataset_id).id
        else:
            label = request.dataset_name or (f"{corpus.name}-qa" if corpus else "instructions")
            dataset_id = add_dataset(session, label, corpus.id if corpus else None, services.now()).id
        params = GenerationParams.model_validate(
            request.model_dump()
            | {
                "generators": entries,
                "dataset_id": dataset_id,
                "train_documents": train,
                "heldout_documents": heldout,
                "model": request.model or services.settings.model,
            }
        )
        job = services.jobs.submit(
            KIND, params.model_dump(mode="json"), resources=[f"dataset:{dataset_id}"], session=session
        )
        session.flush()
        body = job_body(session, job)
        services.answer(session, body)
    services.wake()
    return body


def require_job(session: Session, job_id: str) -> JobRow:
    """The generation job, or a NotFoundError."""
    row = find(session, JobRow, JobRow.id == job_id, JobRow.kind == KIND)
    if row is None:
        raise NotFoundError(f"There is no generation job '{job_id}'.", param="job_id", code="job_not_found")
    return row


def job_body(session: Session, row: JobRow) -> dict[str, Any]:
    """The job as the contract shows it; counts come from what is stored, never from a running tally."""
    slots = slot_totals(session, row.id)
    decided, failed = slots.decided, slots.failed
    by_status: dict[str, int] = dict(count_by(session, [SampleRow.status], SampleRow.job_id == row.id))
    rejected = (SampleRow.job_id == row.id, SampleRow.status == "rejected")
    rejections: dict[str, int] = dict(count_by(session, [SampleRow.reason], *rejected))
    return {
        "id": row.id,
        "object": "generation.job",
        "created_at": int(row.created_at),
        "status": row.status,
        "corpus_id": row.params.get("corpus_id"),
        "dataset_id": row.params["dataset_id"],
        "generators": row.params["generators"],
        "model": row.params.get("model"),
        "seed": row.params["seed"],
        "progress": {
            "target": row.params.get("target"),
            "planned": slots.planned,
            "done": decided - failed,
            "failed": failed,
            "pending": slots.planned - decided,
            "accepted": by_status.get("accepted", 0),
            "rejected": by_status.get("rejected", 0),
        },
        "usage": {
            "requests": slots.requests,
            "cached_requests": slots.cached_requests,
            "prompt_tokens": slots.prompt_tokens,
            "completion_tokens": slots.completion_tokens,
            "cost_usd": None,
        },
        "rejections": rejections,
        "error": row.error,
        "started_at": int(row.started_at) if row.started_at else None,
        "finished_at": int(row.finished_at) if row.finished_at else None,
    }


def get_job(services: Services, job_id: str) -> dict[str, Any]:
    """One job."""
    with services.store.read() as session:
        return job_body(session, require_job(session, job_id))


def list_jobs(services: Services, after: str | None, limit: int, order: str) -> tuple[list[dict[str, Any]], bool]:
    """A page of jobs."""
    with services.store.read() as session:
        rows, more = page(session, JobRow, filters=(JobRow.kind == KIND,), after=after, limit=limit, order=order)
        return [job_body(session, row) for row in rows], more


def stop_job(services: Services, job_id: str, what: Literal["cancel", "pause"]) -> dict[str, Any]:
    """Ask a job to stop; what is stored stays."""
    with services.store.read() as session:
        require_job(session, job_id)
    services.jobs.request_stop(job_id, what)
    services.wake()
    return get_job(services, job_id)


def _more_wanted(session: Session, row: JobRow, target: int | None) -> bool:
    """Whether a new target asks more of a job than it has accepted: a top-up, which goes on at its next slot."""
    accepted = count(session, SampleRow, SampleRow.job_id == row.id, SampleRow.status == "accepted")
    return target is not None and target > accepted


def resume_job(
    services: Services, job_id: str, target: int | None = None, budget: BudgetRequest | None = None
) -> dict[str, Any]:
    """Queue a paused or incomplete job again, or one that reached its target and is to go beyond it."""
    changes: dict[str, Any] = {}
    if target is not None:
        changes["target"] = target
    if budget is not None:
        changes["budget"] = budget.model_dump()
    with services.store.write(durable=True) as session:
        row = require_job(session, job_id)
        if find(session, DatasetRow, DatasetRow.id == row.params["dataset_id"]) is None:
            raise ConflictError(
                f"The dataset of job '{job_id}' was deleted; start a new job.", param="job_id", code="dataset_deleted"
            )
        services.jobs.resume(job_id, changes, session, ended_too=_more_wanted(session, row, target))
    services.wake()
    return get_job(services, job_id)
