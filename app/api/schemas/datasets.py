"""Datasets, their samples, reports, imports and curation jobs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.common import Answer, JobError, Seconds

__all__ = [
    "CurationJob",
    "Dataset",
    "DatasetCluster",
    "DatasetDeleted",
    "DatasetReport",
    "NearestSamples",
    "Sample",
]

JobStatus = Literal["queued", "running", "paused", "succeeded", "incomplete", "failed", "cancelled"]


class ImportProgress(Answer):
    """Rows that were read: accepted + rejected."""

    rows: int
    accepted: int
    rejected: int


class ImportJob(Answer):
    """The job that reads an imported file."""

    id: str
    object: Literal["import.job"]
    created_at: Seconds
    status: JobStatus
    dataset_id: str
    error: JobError | None
    started_at: Seconds | None
    finished_at: Seconds | None
    filename: str
    format: str
    progress: ImportProgress
    rejections: dict[str, int]


class Manifest(Answer):
    """What a dataset was made with."""

    version: int
    versions: dict[str, str] = Field(description="Tokenizer, filters and the like by name.")


class Dataset(Answer):
    """A labelled set of samples."""

    id: str
    object: Literal["dataset"]
    created_at: Seconds
    name: str
    corpus_id: str | None
    version: int = Field(description="Grows with every change of accepted content.")
    sample_count: int
    rejected_count: int
    generation_jobs: list[str]
    import_job: ImportJob | None
    manifest: Manifest


class DatasetDeleted(Answer):
    """A dataset that is gone."""

    id: str
    object: Literal["dataset"]
    deleted: Literal[True]


class Turn(Answer):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str
    weight: int | None = Field(None, description="0 where the turn is not trained on.")


class Verdict(Answer):
    """Why a sample was accepted or rejected."""

    stage: str
    reason: str
    score: float | None
    evidence: dict[str, Any]


class SourceSpan(Answer):
    """A range of a document's text."""

    document_id: str
    start: int
    end: int


class Provenance(Answer):
    """Where a sample came from."""

    generator: str
    slot: int
    model: str | None
    prompt: str | None
    document_id: str | None
    chunk_ids: list[str]
    spans: list[SourceSpan]
    seed_ids: list[str]
    group: str | None = None
    versions: dict[str, str]
    traits: dict[str, Any] = Field(description="What was planned for it: question type, persona, operation …")


class Sample(Answer):
    """A candidate with its verdict."""

    id: str
    object: Literal["sample"]
    created_at: Seconds
    dataset_id: str
    job_id: str
    slot: int
    messages: list[Turn]
    status: Literal["accepted", "rejected"]
    split: Literal["train", "test"]
    verdict: Verdict
    provenance: Provenance
    malformed: str | None = Field(description="Why a reply or row could not be read.")
    raw: str | None = Field(description="What could not be read.")
    flags: dict[str, Any] = Field(description="What was noticed without rejecting the sample.")
    source_deleted: bool
    scores: dict[str, float]
    edited: bool


class ReasonCount(Answer):
    """Rejections for one reason."""

    reason: str
    stage: str
    count: int


class GeneratorCount(Answer):
    """Samples of one generator."""

    accepted: int
    rejected: int


class SplitCount(Answer):
    """Accepted samples by side."""

    train: int
    test: int


class DocumentCoverage(Answer):
    """How far one document is covered."""

    document_id: str
    filename: str
    chunks: int
    tried: int
    covered: int
    samples: int


class Coverage(Answer):
    """Which passages gave samples."""

    chunks: int
    tried: int = Field(description="Chunks that a slot was spent on.")
    covered: int = Field(description="Chunks that gave an accepted sample.")
    samples: int
    documents: int
    by_document: list[DocumentCoverage] = Field(description="The least covered first, 1,000 at most.")


class DatasetReport(Answer):
    """The funnel as counts: candidates = accepted + rejected + removed."""

    id: str
    object: Literal["dataset.report"]
    created_at: Seconds = Field(description="When it was counted.")
    dataset_id: str
    version: int
    candidates: int
    accepted: int
    rejected: int
    removed: int
    rejections: list[ReasonCount]
    generators: dict[str, GeneratorCount]
    splits: SplitCount
    coverage: Coverage | None = Field(description="null where no job read a corpus.")
    details: dict[str, Any] | None = Field(
        None,
        description="With `detail=true`: distributions, speech levels, openings, examples, as `malmoi curate` has.",
    )


class SimilarSample(Answer):
    """A sample beside another one."""

    sample_id: str
    status: Literal["accepted", "rejected"]
    reason: str
    question: str
    score: float = Field(description="ROUGE-L F1 over content morphemes.")


class ClusterMember(SimilarSample):
    """A sample of a cluster; its score is that of its best pair inside."""

    nearest: str = Field(description="The other sample of that pair.")


class DatasetCluster(Answer):
    """Samples connected by near-duplicate pairs."""

    id: str
    object: Literal["dataset.cluster"]
    created_at: Seconds
    representative: str = Field(description="The accepted sample that stands for all, or the first.")
    size: int
    members: list[ClusterMember] = Field(description="In order of arrival, 200 at most.")


class NearestSamples(Answer):
    """What is most like a sample, nearest first."""

    object: Literal["sample.nearest"]
    data: list[SimilarSample]


class CurationProgress(Answer):
    """How far a curation job is."""

    rows: int | None = None
    newly_accepted: int | None = None
    newly_rejected: int | None = None


class CurationResult(Answer):
    """What a curation made of the rows, or would make."""

    rows: int
    accepted: int
    rejected: int
    newly_accepted: int
    newly_rejected: int
    rejections: dict[str, int]
    thresholds: dict[str, int] | None = Field(None, description="Only of a preview: kept rows by threshold.")


class CurationJob(Answer):
    """A curation job."""

    id: str
    object: Literal["curation.job"]
    created_at: Seconds
    status: JobStatus
    dataset_id: str
    error: JobError | None
    started_at: Seconds | None
    finished_at: Seconds | None
    curation: dict[str, Any]
    preview: bool
    progress: CurationProgress
    result: CurationResult | None
