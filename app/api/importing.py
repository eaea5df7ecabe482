"""Routes that bring datasets in and curate them again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from pydantic import ValidationError

from app.api.deps import ServicesDep
from app.api.idempotency import Once
from app.api.lists import ListQuery, list_body
from app.api.schemas.common import ListOf, gives
from app.api.schemas.datasets import CurationJob, Dataset
from app.services import curating, importing
from app.services.curation_request import BulkCurationRequest
from app.services.faults import invalid_body
from app.services.labels import check_label
from generators.imported import ContextUse

router = APIRouter(prefix="/v1", tags=["datasets"])
BLOCK = 1 << 20


@router.post("/datasets", response_model=None, responses=gives(Dataset, creates=True))
def import_dataset(
    once: Once,
    file: Annotated[UploadFile, File(description="A dataset in any known format.")],
    format: Annotated[str | None, Form(description="Its format; found by looking when not given.")] = None,  # noqa: A002 -- the contract's name
    name: Annotated[str | None, Form(description="Label of the dataset.", max_length=200)] = None,
    curation: Annotated[str | None, Form(description="Curation settings as JSON.")] = None,
    context: Annotated[
        ContextUse, Form(description="Whether the passage of a grounded row becomes its system turn.")
    ] = "keep",
    own_split: Annotated[bool, Form(description="Whether rows keep the test side that the file gives them.")] = True,
) -> Any:
    """Import a dataset: messages, Alpaca, ShareGPT, KoAlpaca, KorQuAD, CSV, Parquet …; curated like generated data."""
    filename = check_label(file.filename or "dataset.jsonl", "file")
    label = check_label(name, "name") if name is not None else None
    wanted = _curation(curation)

    def blocks() -> Iterator[bytes]:
        file.file.seek(0)
        return iter(lambda: file.file.read(BLOCK), b"")

    fields = json.dumps([filename, format, label, wanted.model_dump(mode="json"), context, own_split]).encode()
    return once(
        chain((fields,), blocks()),
        lambda services: importing.create_import(
            services,
            (filename, blocks()),
            name=label,
            format=format,
            curation=wanted,
            context=context,
            own_split=own_split,
        ),
    )


def _curation(text: str | None) -> BulkCurationRequest:
    if text is None:
        return BulkCurationRequest()
    try:
        return BulkCurationRequest.model_validate_json(text)
    except ValidationError as exc:
        raise invalid_body(exc, where=("curation",), shape=BulkCurationRequest) from exc


@router.post("/datasets/{dataset_id}/curation/jobs", response_model=None, responses=gives(CurationJob, creates=True))
def create_curation(dataset_id: str, body: curating.CurationJobRequest, once: Once) -> Any:
    """Judge a dataset's rows again under other settings; with ``preview`` only count what would change."""
    return once(body, lambda services: curating.create_curation(services, dataset_id, body))


@router.get("/datasets/{dataset_id}/curation/jobs", response_model=None, responses=gives(ListOf[CurationJob]))
def list_curations(dataset_id: str, services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List a dataset's curation jobs."""
    data, more = curating.list_curations(services, dataset_id, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/datasets/{dataset_id}/curation/jobs/{job_id}", response_model=None, responses=gives(CurationJob))
def get_curation(dataset_id: str, job_id: str, services: ServicesDep) -> dict[str, Any]:
    """One curation job with its counts."""
    return curating.get_curation(services, dataset_id, job_id)
