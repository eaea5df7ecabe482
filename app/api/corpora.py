"""Routes of corpora, documents and search. Routes that touch the store are plain ``def``: they run in threads."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from app.api.deps import ServicesDep
from app.api.idempotency import REPLAYED, Once
from app.api.lists import ListQuery, list_body
from app.api.schemas.common import ListOf, gives, gives_file
from app.api.schemas.corpora import Chunk, Corpus, CorpusDeleted, Document, DocumentDeleted, SearchResult
from app.services import chunks, corpora, indexing
from app.services.context import Services
from app.services.faults import invalid_body
from app.services.labels import Label, check_label
from corpora.errors import InvalidInputError
from corpora.readers.decode import bad_control

router = APIRouter(prefix="/v1", tags=["corpora"])

#: Seconds that an upload's answer waits for its index job.
WAIT_S = 10.0


class CreateCorpus(BaseModel):
    """The body of ``POST /v1/corpora``."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[Label, Field(min_length=1, max_length=200)]
    description: Annotated[Label, Field(max_length=2000)] | Literal[""] = ""
    language: Literal["ko"] = "ko"


def _text(value: str) -> str:
    """What a file would be refused for, said of the field."""
    if not value.strip():
        raise ValueError("must hold more than blanks")
    bad = bad_control(value)
    if bad is not None:
        raise ValueError(f"must not hold the control character U+{ord(bad):04X}")
    return value


def _words(value: str) -> str:
    if not value.strip():
        raise ValueError("must hold more than blanks")
    return value


class TextDocument(BaseModel):
    """A document sent as JSON."""

    model_config = ConfigDict(extra="forbid")
    title: Annotated[Label, Field(min_length=1, max_length=300)]
    text: Annotated[str, AfterValidator(_text)]


class SearchRequest(BaseModel):
    """The body of a search."""

    model_config = ConfigDict(extra="forbid")
    query: Annotated[str, Field(max_length=4000), AfterValidator(_words)]
    k: int = Field(5, ge=1, le=100)
    mode: Literal["dense"] = "dense"


@router.post("/corpora", response_model=None, responses=gives(Corpus, creates=True))
def create_corpus(body: CreateCorpus, once: Once) -> Any:
    """Make an empty corpus."""
    return once(body, lambda s: corpora.create_corpus(s, body.name, body.description, body.language))


@router.get("/corpora", response_model=None, responses=gives(ListOf[Corpus]))
def list_corpora(services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List corpora."""
    data, more = corpora.list_corpora(services, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/corpora/{corpus_id}", response_model=None, responses=gives(Corpus))
def get_corpus(corpus_id: str, services: ServicesDep) -> dict[str, Any]:
    """One corpus."""
    return corpora.get_corpus(services, corpus_id)


@router.delete("/corpora/{corpus_id}", response_model=None, responses=gives(CorpusDeleted))
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
            "application/json": {"schema": TextDocument.model_json_schema()},
        },
    }
}


@router.post(
    "/corpora/{corpus_id}/documents",
    openapi_extra=_UPLOAD_SCHEMA,
    response_model=None,
    responses=gives(ListOf[Document], creates=True),
)
async def upload_documents(corpus_id: str, request: Request, services: ServicesDep, once: Once) -> Any:
    """Add documents: multipart ``file`` (one or many), or JSON ``{title, text}``. Waits up to 10 s for the index."""
    uploads, title = await _uploads(request)
    parts = (part for name, _, data in uploads for part in (name.encode(), data))

    def create(claimed: Services) -> dict[str, Any]:
        return {"ids": corpora.upload_documents(claimed, corpus_id, uploads, title)}

    def answer() -> Any:
        made = once(parts, create)
        if isinstance(made, dict):
            return list_body(_wait_processed(services, made["ids"]), has_more=False)
        # A repeated request gives the same documents, as they stand now.
        again = _wait_processed(services, json.loads(made.body)["ids"])
        return JSONResponse(list_body(again, has_more=False), headers=REPLAYED)

    return await run_in_threadpool(answer)


async def _uploads(request: Request) -> tuple[list[tuple[str, str | None, bytes]], str | None]:
    """The files of a form, or the one document of a JSON body and its title."""
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("application/json"):
        try:
            document = TextDocument.model_validate_json(await request.body())
        except ValidationError as exc:
            raise invalid_body(exc) from exc
        return [(f"{document.title}.md", "text/markdown", document.text.encode())], document.title
    if not content_type.startswith("multipart/form-data"):
        raise InvalidInputError(
            "Send documents as multipart/form-data with 'file', or as JSON {title, text}.", param="file"
        )
    form = await request.form()
    files = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
    if not files:
        raise InvalidInputError("The form has no part named 'file'.", param="file")
    names = [check_label(part.filename or "document.txt", "file") for part in files]
    return [(name, part.content_type, await part.read()) for name, part in zip(names, files, strict=True)], None


def _wait_processed(services: Services, ids: list[str]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WAIT_S
    while True:
        data = corpora.documents_by_id(services, ids)
        if all(entry["status"] != "processing" for entry in data) or time.monotonic() > deadline:
            return data
        time.sleep(0.1)


@router.get("/corpora/{corpus_id}/documents", response_model=None, responses=gives(ListOf[Document]))
def list_documents(corpus_id: str, services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List a corpus's documents."""
    data, more = corpora.list_documents(services, corpus_id, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/documents/{document_id}", response_model=None, responses=gives(Document))
def get_document(document_id: str, services: ServicesDep) -> dict[str, Any]:
    """One document."""
    return corpora.get_document(services, document_id)


@router.get(
    "/documents/{document_id}/text",
    response_class=Response,  # its media type would be taken for the errors' too
    responses=gives_file("text/plain", "The decoded text."),
)
def get_text(document_id: str, services: ServicesDep) -> PlainTextResponse:
    """The decoded text that all offsets point into."""
    return PlainTextResponse(corpora.document_text(services, document_id))


@router.get("/documents/{document_id}/chunks", response_model=None, responses=gives(ListOf[Chunk]))
def list_chunks(document_id: str, services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List a document's chunks."""
    data, more = chunks.list_chunks(services, document_id, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.delete("/documents/{document_id}", response_model=None, responses=gives(DocumentDeleted))
def delete_document(
    document_id: str, services: ServicesDep, delete_samples: Annotated[bool, Query()] = False
) -> dict[str, Any]:
    """Remove a document; its chunks stop being found at once."""
    return corpora.delete_document(services, document_id, delete_samples=delete_samples)


@router.post("/corpora/{corpus_id}/search", response_model=None, responses=gives(SearchResult))
def search(corpus_id: str, body: SearchRequest, services: ServicesDep) -> dict[str, Any]:
    """Find the passages nearest to a query."""
    return {"data": indexing.search_corpus(services, corpus_id, body.query, body.k)}
