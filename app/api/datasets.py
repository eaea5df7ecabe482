"""Routes of datasets, samples, reports and exports."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from app.api.deps import ServicesDep
from app.api.downloads import DownloadResponse, entity_tags
from app.api.lists import ListQuery, list_body
from app.api.schemas.common import ListOf, gives
from app.api.schemas.datasets import Dataset, DatasetCluster, DatasetDeleted, DatasetReport, NearestSamples, Sample
from app.services import dataset_report, datasets, exporting, similar
from generators.curation.settings import decimal_share

router = APIRouter(prefix="/v1", tags=["datasets"])
_TEXTS = ("application/jsonl", "text/csv")


@router.get("/datasets", response_model=None, responses=gives(ListOf[Dataset]))
def list_datasets(services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List datasets."""
    data, more = datasets.list_datasets(services, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/datasets/{dataset_id}", response_model=None, responses=gives(Dataset))
def get_dataset(dataset_id: str, services: ServicesDep) -> dict[str, Any]:
    """One dataset with its counts."""
    return datasets.get_dataset(services, dataset_id)


@router.delete("/datasets/{dataset_id}", response_model=None, responses=gives(DatasetDeleted))
def delete_dataset(dataset_id: str, services: ServicesDep) -> dict[str, Any]:
    """Remove a dataset and its samples."""
    return datasets.delete_dataset(services, dataset_id)


@router.get("/datasets/{dataset_id}/samples", response_model=None, responses=gives(ListOf[Sample]))
def list_samples(
    dataset_id: str,
    services: ServicesDep,
    query: ListQuery,
    status: Annotated[Literal["accepted", "rejected"] | None, Query()] = None,
    reason: Annotated[str | None, Query()] = None,
    generator: Annotated[str | None, Query()] = None,
    document_id: Annotated[str | None, Query()] = None,
    q: Annotated[str | None, Query(min_length=1, max_length=200, description="Text that a message holds.")] = None,
) -> dict[str, Any]:
    """List samples, accepted and rejected, each with its verdict and provenance."""
    wanted = datasets.SampleFilter(status=status, reason=reason, generator=generator, document_id=document_id, text=q)
    data, more = datasets.list_samples(services, dataset_id, wanted, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/samples/{sample_id}", response_model=None, responses=gives(Sample))
def get_sample(sample_id: str, services: ServicesDep) -> dict[str, Any]:
    """One sample."""
    return datasets.get_sample(services, sample_id)


@router.get("/samples/{sample_id}/nearest", response_model=None, responses=gives(NearestSamples))
def nearest(sample_id: str, services: ServicesDep, k: Annotated[int, Query(ge=1, le=100)] = 5) -> dict[str, Any]:
    """The samples of the same dataset whose questions share most with this one's, repeats that were dropped too."""
    return {"object": "sample.nearest", "data": similar.nearest_samples(services, sample_id, k)}


@router.get("/datasets/{dataset_id}/clusters", response_model=None, responses=gives(ListOf[DatasetCluster]))
def clusters(
    dataset_id: str,
    services: ServicesDep,
    threshold: Annotated[str, Query(max_length=20, description="ROUGE-L F1, as a decimal.")] = "0.7",
    after: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> dict[str, Any]:
    """Near-duplicate clusters, the largest first, dropped repeats included."""
    exact = decimal_share(threshold, "threshold")
    data, more = similar.list_clusters(services, dataset_id, exact, after, limit)
    return list_body(data, has_more=more)


@router.get("/datasets/{dataset_id}/report", response_model=None, responses=gives(DatasetReport))
def report(
    dataset_id: str,
    services: ServicesDep,
    detail: Annotated[bool, Query(description="Measure every sample: lengths, speech levels, openings.")] = False,
) -> dict[str, Any]:
    """The funnel as counts, and which passages gave samples."""
    return dataset_report.dataset_report(services, dataset_id, detail=detail)


def _described() -> dict[int | str, dict[str, Any]]:
    """What the export answers with, for the OpenAPI document."""
    text, binary = {"type": "string"}, {"type": "string", "format": "binary"}
    media = {name: text if name in _TEXTS else binary for name in exporting.MEDIA_TYPES.values()}
    headers = {
        "ETag": "Changes exactly when the bytes may.",
        "Content-Disposition": "A file name with the dataset's version.",
        "X-Malmoi-Refused": 'Samples that the format cannot carry, counted by reason, as JSON: {"multi_turn": 3}.',
    }
    return {
        200: {
            "description": "JSON Lines, CSV, Parquet or, for `bundle`, a zip.",
            "content": {name: {"schema": schema} for name, schema in media.items()},
            "headers": {name: {"description": what, "schema": text} for name, what in headers.items()},
        },
        304: {"description": "The client has these bytes already (`If-None-Match`)."},
    }


@router.get("/datasets/{dataset_id}/export", response_class=StreamingResponse, responses=_described())
def export(
    dataset_id: str,
    services: ServicesDep,
    format: Annotated[exporting.ExportFormat, Query()] = "messages",  # noqa: A002 -- the contract's name
    split: Annotated[
        exporting.Split | None, Query(description="`all` when not given for a bundle, else `train`.")
    ] = None,
    metadata: Annotated[bool, Query(description="Each row's id, split, group and provenance; not in CSV.")] = False,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Accepted samples as a file. What the format cannot carry is left out and counted in `X-Malmoi-Refused`."""
    request = exporting.ExportRequest(format=format, split=split, metadata=metadata)
    found = exporting.open_export(services, dataset_id, request, entity_tags(if_none_match))
    headers = {"ETag": f'"{found.etag}"'}
    if found.blocks is None:
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{found.filename}"'
    headers["X-Malmoi-Refused"] = json.dumps(found.refused)
    if found.length is not None:
        headers["Content-Length"] = str(found.length)
    return DownloadResponse(found.blocks, media_type=found.media_type, headers=headers)
