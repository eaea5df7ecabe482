"""Routes of corpora, documents and search. Routes that touch the store are plain ``def``: they run in threads."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from app.api.deps import ServicesDep
from app.api.idempotency import Once
from app.api.lists import ListQuery, list_body
from app.services import corpora, indexing
from app.services.context import Services
from app.services.labels import Label, check_label
from corpora.errors import InvalidInputError

router = APIRouter(prefix="/v1", tags=["corpora"])

#: Seconds that an upload's answer waits for its index job.
WAIT_S = 10.0


class CreateCorpus(BaseModel):
    """The body of ``POST /v1/corpora``."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[Label, Field(min_length=1, max_length=200)]
    description: Annotated[Label, Field(max_length=2000)] | Literal[""] = ""
    language: Literal["ko"] = "ko"


class TextDocument(BaseModel):
    """A document sent as JSON."""

    model_config = ConfigDict(extra="forbid")
    title: Annotated[Label, Field(min_length=1, max_length=300)]
    text: str = Field(min_length=1)


class SearchRequest(BaseModel):
    """The body of a search."""

    model_config = ConfigDict(extra="forbid")
    query: str = Field(min_length=1, max_length=4000)
    k: int = Field(5, ge=1, le=100)
    mode: Literal["dense"] = "dense"


@router.post("/corpora")
def create_corpus(body: CreateCorpus, once: Once) -> Any:
    """Make an empty corpus."""
    return once(body, lambda s: corpora.create_corpus(s, body.name, body.description, body.language))


@router.get("/corpora")
def list_corpora(services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List corpora."""
    data, more = corpora.list_corpora(services, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/corpora/{corpus_id}")
def get_corpus(corpus_id: str, services: ServicesDep) -> dict[str, Any]:
    """One corpus."""
    return corpora.get_corpus(services, corpus_id)


@router.delete("/corpora/{corpus_id}")
def delete_corpus(corpus_id: str, services: ServicesDep) -> dict[str, Any]:
    """Remove a corpus and its documents."""
    return corpora.delete_corpus(services, corpus_id)


_UPLOAD_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["title", "text"],
                    "properties": {"title": {"type": "string"}, "text": {"type": "string"}},
                }
            },
        },
    }
}


@router.post("/corpora/{corpus_id}/documents", openapi_extra=_UPLOAD_SCHEMA)
async def upload_documents(corpus_id: str, request: Request, services: ServicesDep, once: Once) -> Any:
    """Add documents: multipart ``file`` (one or many), or JSON ``{title, text}``. Waits up to 10 s for the index."""
    uploads = await _uploads(request)
    parts = (part for name, _, data in uploads for part in (name.encode(), data))

    def create(claimed: Services) -> dict[str, Any]:
        return {"ids": corpora.upload_documents(claimed, corpus_id, uploads)}

    def answer() -> dict[str, Any]:
        made = once(parts, create)
        # A repeated request gives the same documents, as they stand now.
        ids = made["ids"] if isinstance(made, dict) else json.loads(made.body)["ids"]
        return list_body(_wait_processed(services, ids), has_more=False)

    return await run_in_threadpool(answer)


async def _uploads(request: Request) -> list[tuple[str, str | None, bytes]]:
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("application/json"):
        try:
            document = TextDocument.model_validate_json(await request.body())
        except ValidationError as exc:
            first = exc.errors()[0]
            param = ".".join(str(part) for part in first["loc"])
            raise InvalidInputError(f"'{param}': {first['msg']}", param=param or None) from exc
        return [(f"{document.title}.md", "text/markdown", document.text.encode())]
    if not content_type.startswith("multipart/form-data"):
        raise InvalidInputError(
            "Send documents as multipart/form-data with 'file', or as JSON {title, text}.", param="file"
        )
    form = await request.form()
    files = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
    if not files:
        raise InvalidInputError("The form has no part named 'file'.", param="file")
    names = [check_label(part.filename or "document.txt", "file") for part in files]
    return [(name, part.content_type, await part.read()) for name, part in zip(names, files, strict=True)]


def _wait_processed(services: Services, ids: list[str]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WAIT_S
    while True:
        data = corpora.documents_by_id(services, ids)
        if all(entry["status"] != "processing" for entry in data) or time.monotonic() > deadline:
            return data
        time.sleep(0.1)


@router.get("/corpora/{corpus_id}/documents")
def list_documents(corpus_id: str, services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List a corpus's documents."""
    data, more = corpora.list_documents(services, corpus_id, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/documents/{document_id}")
def get_document(document_id: str, services: ServicesDep) -> dict[str, Any]:
    """One document."""
    return corpora.get_document(services, document_id)


@router.get("/documents/{document_id}/text", response_class=PlainTextResponse)
def get_text(document_id: str, services: ServicesDep) -> PlainTextResponse:
    """The decoded text that all offsets point into."""
    return PlainTextResponse(corpora.document_text(services, document_id))


@router.get("/documents/{document_id}/chunks")
def list_chunks(document_id: str, services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List a document's chunks."""
    data, more = corpora.list_chunks(services, document_id, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.delete("/documents/{document_id}")
def delete_document(
    document_id: str, services: ServicesDep, delete_samples: Annotated[bool, Query()] = False
) -> dict[str, Any]:
    """Remove a document; its chunks stop being found at once."""
    return corpora.delete_document(services, document_id, delete_samples=delete_samples)


@router.post("/corpora/{corpus_id}/search")
def search(corpus_id: str, body: SearchRequest, services: ServicesDep) -> dict[str, Any]:
    """Find the passages nearest to a query."""
    return {"object": "list", "data": indexing.search_corpus(services, corpus_id, body.query, body.k)}
