"""Routes of finished models: export as a zip, merge into the base, upload to the hub, and these two as jobs.

To be included before ``/v1/models/{model}``, whose path takes everything: names hold slashes and colons.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Response
from fastapi.responses import StreamingResponse

from app.api.deps import ServicesDep
from app.api.downloads import DownloadResponse, attachment, entity_tags
from app.api.idempotency import Once
from app.api.lists import ListQuery, list_body
from app.api.schemas.adapters import ModelJob
from app.api.schemas.common import Event, ListOf, gives
from app.services import adapters_export, adapters_hub, adapters_merge, model_jobs
from app.services.adapters_hub import UploadRequest
from app.services.adapters_merge import MergeRequest

router = APIRouter(prefix="/v1", tags=["adapters"])
_TEXT = {"type": "string"}
_HEADERS = {"ETag": "Changes when the files do.", "Content-Disposition": "A file name made of the model's."}
_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A zip: the adapter in PEFT's layout with its card and its tokenizer.",
        "content": {"application/zip": {"schema": _TEXT | {"format": "binary"}}},
        "headers": {name: {"description": what, "schema": _TEXT} for name, what in _HEADERS.items()},
    },
    304: {"description": "The client has these bytes already (`If-None-Match`)."},
}


@router.get("/models/{model:path}/export", response_class=StreamingResponse, responses=_EXPORT)
def export_model(model: str, services: ServicesDep, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """A fine-tuned model or a checkpoint as a zip that PEFT opens once it is unpacked."""
    found = adapters_export.export_adapter(services, model, entity_tags(if_none_match))
    headers = {"ETag": f'"{found.etag}"'}
    if found.blocks is None:
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = attachment(found.filename)
    return DownloadResponse(found.blocks, media_type=found.media_type, headers=headers)


@router.post("/models/{model:path}/merge", response_model=None, responses=gives(ModelJob, creates=True))
def merge_model(model: str, once: Once, body: Annotated[MergeRequest | None, Body()] = None) -> Any:
    """Merge a fine-tuned model or a checkpoint into its bfloat16 base; the result is a base model of its own."""
    request = body or MergeRequest()
    return once(request, lambda services: adapters_merge.create_merge(services, model, request))


@router.post("/models/{model:path}/upload", response_model=None, responses=gives(ModelJob, creates=True))
def upload_model(model: str, body: UploadRequest, once: Once) -> Any:
    """Upload a fine-tuned model or a checkpoint to the hub, where the service's settings allow it."""
    return once(body, lambda services: adapters_hub.create_upload(services, model, body))


@router.get("/model_jobs", response_model=None, responses=gives(ListOf[ModelJob]))
def list_jobs(services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List merges and uploads."""
    data, more = model_jobs.list_jobs(services, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/model_jobs/{job_id}", response_model=None, responses=gives(ModelJob))
def get_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """One merge or upload."""
    return model_jobs.get_job(services, job_id)


@router.post("/model_jobs/{job_id}/cancel", response_model=None, responses=gives(ModelJob))
def cancel_job(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """Stop for good; a merge leaves nothing behind."""
    return model_jobs.cancel_job(services, job_id)


@router.get("/model_jobs/{job_id}/events", response_model=None, responses=gives(ListOf[Event]))
def list_events(job_id: str, services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """What the job said."""
    data, more = model_jobs.list_events(services, job_id, query.after, query.limit, query.order)
    return list_body(data, has_more=more)
