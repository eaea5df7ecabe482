"""The tables of the store, as SQLAlchemy models; ``migrations/`` builds them, nothing else does.

Every object has a public ``id`` and a running ``seq``: lists are ordered and paged by ``seq``, so a cursor (an id)
stays stable under insert. JSON columns hold values that are never searched. Times are Unix seconds as floats.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.corpus_tables import ChunkRow, CorpusRow, DocumentRow, DocumentUnitsRow, EmbeddingRow
from app.store.table_base import AUTO, CASCADE, Base, Seq
from app.store.training_tables import AdapterRow, CheckpointRow, FileRow

__all__ = [
    "AdapterRow",
    "Base",
    "CheckpointRow",
    "ChunkRow",
    "CorpusRow",
    "DatasetRow",
    "DocumentRow",
    "DocumentUnitsRow",
    "EmbeddingRow",
    "EventRow",
    "FileRow",
    "IdempotencyRow",
    "JobRow",
    "PlanRow",
    "ReplyRow",
    "ReservationRow",
    "ResourceRow",
    "SampleDocumentRow",
    "SampleRow",
    "SlotRow",
]


class DatasetRow(Base):
    """A labelled set of samples; ``version`` grows with every commit that changes accepted content."""

    __tablename__ = "datasets"
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    corpus_id: Mapped[str | None] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=0)
    #: Samples that were removed with their document: candidates = accepted + rejected + removed.
    removed: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]


class JobRow(Base):
    """A piece of long work; the engine reads these columns and knows no kind."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_claim", "status", "lease_until"), AUTO)
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    #: What the job was asked to do; immutable but for what resume may change.
    params: Mapped[dict[str, Any]]
    #: Named resources it holds while running: ``gpu``, ``index:<corpus>``, ``dataset:<id>``.
    resources: Mapped[list[Any]]
    #: Kind-specific progress, replaced as a whole.
    progress: Mapped[dict[str, Any]]
    #: Kind-specific outcome.
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    #: Number of the attempt that may write; fences off earlier ones.
    attempt: Mapped[int] = mapped_column(default=0)
    #: Attempts that died without a word; at a limit the job fails.
    crashes: Mapped[int] = mapped_column(default=0)
    #: Who holds the lease, and until when.
    owner: Mapped[str | None]
    lease_until: Mapped[float | None]
    #: ``cancel`` or ``pause``, asked for and not yet obeyed.
    stop_requested: Mapped[str | None]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class ResourceRow(Base):
    """A named resource held by one running job."""

    __tablename__ = "resources"
    name: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=CASCADE), index=True)


class EventRow(Base):
    """A line of a job's log."""

    __tablename__ = "events"
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=CASCADE), index=True)
    created_at: Mapped[float]
    level: Mapped[str]
    type: Mapped[str]
    message: Mapped[str]
    data: Mapped[dict[str, Any] | None]


class PlanRow(Base):
    """The slots of a generation job, fixed by its first attempt."""

    __tablename__ = "plans"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=CASCADE), primary_key=True)
    planned: Mapped[int]
    #: One entry a slot: [generator, held out, id of the source chunk or None].
    slots: Mapped[list[Any]]


class SlotRow(Base):
    """One decided slot of a generation job."""

    __tablename__ = "slots"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=CASCADE), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True)
    generator: Mapped[str]
    failed: Mapped[str | None]
    #: Candidates that the slot gave; each of them is a sample.
    candidates: Mapped[int]
    #: How many of them were accepted when it was decided; what they are now is with the samples.
    accepted: Mapped[int]
    requests: Mapped[int]
    cached_requests: Mapped[int]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    #: When it was decided.
    created_at: Mapped[float]


class SampleRow(Base):
    """A candidate with its verdict."""

    __tablename__ = "samples"
    __table_args__ = (
        UniqueConstraint("job_id", "slot", "position"),
        Index("ix_samples_list", "dataset_id", "status", "seq"),
        AUTO,
    )
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete=CASCADE))
    job_id: Mapped[str]
    slot: Mapped[int]
    #: Place among the slot's candidates, from 0.
    position: Mapped[int]
    status: Mapped[str]
    split: Mapped[str]
    generator: Mapped[str]
    document_id: Mapped[str | None] = mapped_column(index=True)
    stage: Mapped[str]
    reason: Mapped[str]
    score: Mapped[float | None]
    evidence: Mapped[dict[str, Any]]
    messages: Mapped[list[Any]]
    provenance: Mapped[dict[str, Any]]
    grounded: Mapped[bool]
    malformed: Mapped[str | None]
    raw: Mapped[str | None]
    #: What was noticed without rejecting the sample: name -> evidence.
    flags: Mapped[dict[str, Any]]
    #: Variants of one sample share it.
    group_id: Mapped[str | None]
    source_deleted: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[float]


class SampleDocumentRow(Base):
    """A document that a sample rests on: the one it was made for, or one that it cites or shows."""

    __tablename__ = "sample_documents"
    sample_id: Mapped[str] = mapped_column(ForeignKey("samples.id", ondelete=CASCADE), primary_key=True)
    document_id: Mapped[str] = mapped_column(primary_key=True, index=True)


class ReplyRow(Base):
    """A cached successful reply of a model."""

    __tablename__ = "replies"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=CASCADE), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str] = mapped_column(primary_key=True)
    reply: Mapped[dict[str, Any]]
    created_at: Mapped[float]


class BatchRow(Base):
    """A batch of requests at a Batch API that is not collected yet."""

    __tablename__ = "batches"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=CASCADE), primary_key=True)
    #: Our own name of it.
    token: Mapped[str] = mapped_column(primary_key=True)
    #: The endpoint's name; None until it has answered.
    batch_id: Mapped[str | None]
    model: Mapped[str]
    created_at: Mapped[float]
    #: One entry a request: slot, step, hash, reservation, upper bounds of its tokens.
    lines: Mapped[list[Any]]


class ReservationRow(Base):
    """One request and its claim on the job's budget; unsettled after a crash it counts as spent, at its upper bound."""

    __tablename__ = "reservations"
    __table_args__ = (Index("ix_reservations_settled", "job_id", "settled_at"),)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete=CASCADE), primary_key=True)
    #: Counts the job's requests from 1 in the order of their reservation.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: Attempt that reserved it.
    attempt: Mapped[int]
    slot: Mapped[int]
    step: Mapped[str]
    #: Model asked, the key of the price table.
    model: Mapped[str]
    #: Upper bounds until the request is settled, then what was used.
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    #: Picodollars (10**-12 US dollars) of these tokens; None where the model has no price. Integers: sums are exact.
    cost: Mapped[int | None] = mapped_column(BigInteger)
    #: How the request ended (``ok``, ``http_429`` …); None until it is settled.
    outcome: Mapped[str | None]
    #: Seconds from sending to the end of the answer.
    latency: Mapped[float | None]
    created_at: Mapped[float]
    settled_at: Mapped[float | None]


class IdempotencyRow(Base):
    """The first answer to a creating request that carried an ``Idempotency-Key``."""

    __tablename__ = "idempotency"
    key: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    status: Mapped[int | None]
    response: Mapped[str | None]
    created_at: Mapped[float]
