"""Generation jobs: what the API accepts, what it refuses, and what can be done with a job.

The job itself runs in ``app.services.generating``; ``app.services.generation_progress`` shows it. A request is checked
completely before the job row is written, in one transaction with the dataset it makes and the hold-out it assigns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.services.context import Services
from app.services.corpora import require_corpus
from app.services.curation_request import GenerationCurationRequest
from app.services.datasets import add_dataset, require_dataset
from app.services.generation_entries import resolve_entries
from app.services.generation_prices import check_money_limit
from app.services.generation_progress import job_body
from app.services.generation_sources import check_sources
from app.services.labels import Identifier, Label, Storable
from app.store.generation import plan_failed_again
from app.store.paging import page
from app.store.queries import Session, count, find, listed, lock
from app.store.slots import slot_totals
from app.store.tables import CorpusRow, DatasetRow, DocumentRow, JobRow, SampleRow
from corpora.errors import ConflictError, InvalidInputError, NotFoundError
from generators.llm.settings import BATCH_PREFIX, LANGCHAIN_PREFIX
from generators.registry import GENERATORS

__all__ = [
    "BudgetRequest",
    "GenerationRequest",
    "Target",
    "create_job",
    "get_job",
    "list_jobs",
    "require_job",
    "resolve_request",
    "resume_job",
    "stop_job",
]

KIND = "generate"
#: Slots that may run ahead even where one request is in flight at a time.
MIN_WINDOW = 8
#: Slots that one batch of a Batch API takes in.
BATCH_WINDOW = 2000
Target = Annotated[int, Field(ge=1, le=10_000_000)]
Limit = Annotated[int, Field(ge=0, le=10**15)]
#: At most 15 digits: that many of a JSON number survive whoever reads it as a float.
Money = Annotated[Decimal, Field(ge=0, lt=1_000_000, decimal_places=9)]


class BudgetRequest(BaseModel):
    """Upper limits of what a job may spend; null is no limit."""

    model_config = ConfigDict(extra="forbid")
    max_requests: Limit | None = None
    max_tokens: Limit | None = None
    max_cost_usd: Money | None = Field(
        None, description="US dollars; every model of the job needs a price (setting MODEL_PRICES)."
    )


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
    judge_model: Identifier | None = Field(
        None, description="Model that judges what the rules let through; the setting JUDGE_MODEL when null."
    )
    dry_run: bool = Field(False, description="Answer with plan, first prompts and estimate; send and store nothing.")
    heldout_fraction: float = Field(0.1, ge=0.0, le=0.5)
    budget: BudgetRequest = BudgetRequest()
    curation: GenerationCurationRequest = GenerationCurationRequest()
    patience: int | None = Field(
        100,
        ge=1,
        le=100_000,
        description="Slots in a row without an accepted sample after which a generator that asks a model is used up.",
    )


class GenerationParams(GenerationRequest):
    """What the job row keeps: the request, resolved, with the documents of each side fixed."""

    generators: list[dict[str, Any]]
    dataset_id: str
    train_documents: list[str]
    heldout_documents: list[str]
    window: int = 8  # Slots that may run ahead of the last decided one; prompts depend on it.
    patience_from: int = 0  # First slot that counts for patience.
    retried_below: int = 0  # Failed slots below this one have been planned again.


def assign_heldout(session: Session, corpus: CorpusRow, fraction: float) -> tuple[list[str], list[str]]:
    """Hold-out belongs to the document: decided once, by order of sha256, up to floor(fraction x documents).

    A document that trained once never becomes a test, nor the other way round: only documents that no job has read
    yet are assigned. The corpus's row is locked meanwhile.

    Returns:
        Ids of the training documents and of the held-out ones, each by order of sha256.
    """
    # A zip's own row has no chunks: its members are the documents.
    processed = (DocumentRow.corpus_id == corpus.id, DocumentRow.status == "processed", DocumentRow.chunk_count > 0)
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


def _judge(services: Services, request: GenerationRequest) -> str | None:
    """The judge that the request or the settings name, or None."""
    judge = request.judge_model or services.settings.judge_model
    if judge is not None and services.settings.model_base_url is None and not judge.startswith(LANGCHAIN_PREFIX):
        raise InvalidInputError(
            f"'{judge}' is to judge, and no endpoint is configured; set MALMOI_MODEL_BASE_URL, or do without a judge.",
            param="judge_model",
            code="no_model_endpoint",
        )
    return judge


def _asked(entries: Iterable[dict[str, Any]], model: str | None, judge: str | None) -> tuple[str | None, str | None]:
    """The models that a job with these entries asks: its own, where a generator needs one, and its judge."""
    return model if any(GENERATORS[entry["type"]].needs_model for entry in entries) else None, judge


def _window(services: Services, model: str | None) -> int:
    """Slots that may run ahead: a batch is worth sending when it is large, else enough to keep connections busy."""
    if model is not None and model.startswith(BATCH_PREFIX):
        return BATCH_WINDOW
    # Twice the requests in flight: a slot that is slow to decide leaves no connection idle.
    return max(MIN_WINDOW, 2 * services.settings.model_concurrency)


def resolve_request(services: Services, session: Session, request: GenerationRequest) -> GenerationParams:
    """Check the request and fix its inputs: generators filled up, hold-out assigned, the dataset made.

    Raises:
        InvalidInputError: a field is wrong; ``param`` names it.
        NotFoundError: the corpus, the dataset, a file or a source is not there.
        ConflictError: the corpus has no document, or some that are still being processed.
    """
    corpus = require_corpus(session, request.corpus_id) if request.corpus_id else None
    entries = resolve_entries(services.settings, request.generators, corpus_id=request.corpus_id, model=request.model)
    check_sources(session, entries)
    model, judge = request.model or services.settings.model, _judge(services, request)
    check_money_limit(services.settings, request.budget.max_cost_usd, _asked(entries, model, judge))
    train: list[str] = []
    heldout: list[str] = []
    if corpus is not None:
        _refuse_unfinished(session, corpus)
        train, heldout = assign_heldout(session, corpus, request.heldout_fraction)
        if not train:
            raise ConflictError(
                f"Corpus '{corpus.id}' has no processed document; upload one and wait until its status is 'processed'.",
                param="corpus_id",
                code="corpus_empty",
            )
    if request.dataset_id is not None:
        dataset_id = require_dataset(session, request.dataset_id).id
    else:
        label = request.dataset_name or (f"{corpus.name}-qa" if corpus else "instructions")
        dataset_id = add_dataset(session, label, corpus.id if corpus else None, services.now()).id
    fixed = {
        "generators": entries,
        "dataset_id": dataset_id,
        "train_documents": train,
        "heldout_documents": heldout,
        "model": model,
        "judge_model": judge,
        "window": _window(services, model),
    }
    return GenerationParams.model_validate(request.model_dump() | fixed)


def create_job(services: Services, request: GenerationRequest) -> dict[str, Any]:
    """Check the request, fix its inputs and submit the job.

    Raises:
        MalmoiError: as ``resolve_request`` does.
    """
    with services.store.write(durable=True) as session:
        params = resolve_request(services, session, request)
        job = services.jobs.submit(
            KIND, params.model_dump(mode="json"), resources=[f"dataset:{params.dataset_id}"], session=session
        )
        session.flush()
        body = job_body(session, job, services.now())
        services.answer(session, body)
    services.wake()
    return body


def require_job(session: Session, job_id: str) -> JobRow:
    """The generation job, or a NotFoundError."""
    row = find(session, JobRow, JobRow.id == job_id, JobRow.kind == KIND)
    if row is None:
        raise NotFoundError(f"There is no generation job '{job_id}'.", param="job_id", code="job_not_found")
    return row


def get_job(services: Services, job_id: str) -> dict[str, Any]:
    """One job."""
    with services.store.snapshot() as session:
        return job_body(session, require_job(session, job_id), services.now())


def list_jobs(services: Services, after: str | None, limit: int, order: str) -> tuple[list[dict[str, Any]], bool]:
    """A page of jobs."""
    with services.store.snapshot() as session:
        rows, more = page(session, JobRow, filters=(JobRow.kind == KIND,), after=after, limit=limit, order=order)
        return [job_body(session, row, services.now()) for row in rows], more


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
    """Queue a paused or incomplete job again, or one that reached its target and is to go beyond it.

    Slots whose request failed are planned again, behind all others: what is decided stays as it is.

    Raises:
        InvalidInputError: a limit in dollars for a model that has no price.
        NotFoundError: there is no such job.
        ConflictError: it cannot be resumed, or its dataset was deleted.
    """
    changes: dict[str, Any] = {}
    if target is not None:
        changes["target"] = target
    if budget is not None:
        changes["budget"] = budget.model_dump(mode="json")
    with services.store.write(durable=True) as session:
        row = require_job(session, job_id)
        if find(session, DatasetRow, DatasetRow.id == row.params["dataset_id"]) is None:
            raise ConflictError(
                f"The dataset of job '{job_id}' was deleted; start a new job.", param="job_id", code="dataset_deleted"
            )
        if budget is not None:
            asked = _asked(row.params["generators"], row.params.get("model"), row.params.get("judge_model"))
            check_money_limit(services.settings, budget.max_cost_usd, asked)
        # Whoever resumes a job that brought nothing new wants it to try again from here.
        changes["patience_from"] = slot_totals(session, job_id).decided
        again = plan_failed_again(session, job_id, row.params.get("retried_below", 0))
        changes["retried_below"] = again.below
        more = bool(again.slots) or _more_wanted(session, row, target)
        services.jobs.resume(job_id, changes, session, ended_too=more)
    services.wake()
    return get_job(services, job_id)
