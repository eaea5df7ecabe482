"""Routes of datasets, samples, reports and exports."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from app.api.deps import ServicesDep
from app.api.lists import ListQuery, list_body
from app.services import datasets, exporting

router = APIRouter(prefix="/v1", tags=["datasets"])


@router.get("/datasets")
def list_datasets(services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List datasets."""
    data, more = datasets.list_datasets(services, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/datasets/{dataset_id}")
def get_dataset(dataset_id: str, services: ServicesDep) -> dict[str, Any]:
    """One dataset with its counts."""
    return datasets.get_dataset(services, dataset_id)


@router.delete("/datasets/{dataset_id}")
def delete_dataset(dataset_id: str, services: ServicesDep) -> dict[str, Any]:
    """Remove a dataset and its samples."""
    return datasets.delete_dataset(services, dataset_id)


@router.get("/datasets/{dataset_id}/samples")
def list_samples(
    dataset_id: str,
    services: ServicesDep,
    query: ListQuery,
    status: Annotated[Literal["accepted", "rejected"] | None, Query()] = None,
    reason: Annotated[str | None, Query()] = None,
    generator: Annotated[str | None, Query()] = None,
    document_id: Annotated[str | None, Query()] = None,
) -> dict[str, Any]:
    """List samples, accepted and rejected, each with its verdict and provenance."""
    wanted = datasets.SampleFilter(status=status, reason=reason, generator=generator, document_id=document_id)
    data, more = datasets.list_samples(services, dataset_id, wanted, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/samples/{sample_id}")
def get_sample(sample_id: str, services: ServicesDep) -> dict[str, Any]:
    """One sample."""
    return datasets.get_sample(services, sample_id)


@router.get("/datasets/{dataset_id}/report")
def report(dataset_id: str, services: ServicesDep) -> dict[str, Any]:
    """The funnel as counts."""
    return datasets.report(services, dataset_id)


@router.get(
    "/datasets/{dataset_id}/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
def export(
    dataset_id: str,
    services: ServicesDep,
    format: Annotated[Literal["messages"], Query()] = "messages",  # noqa: A002, ARG001 -- the contract's name; more formats later
    split: Annotated[Literal["train", "test", "all"], Query()] = "train",
    metadata: Annotated[bool, Query()] = False,
) -> StreamingResponse:
    """Accepted samples as JSONL in the messages schema, streamed."""
    found = exporting.open_export(services, dataset_id, split, metadata=metadata)
    headers = {"ETag": f'"{found.etag}"', "Content-Disposition": f'attachment; filename="{dataset_id}-{split}.jsonl"'}
    return StreamingResponse(found.lines, media_type="application/jsonl", headers=headers)
