"""Routes of corpora and documents. Routes that touch the store are plain ``def``: they run in threads."""

from __future__ import annotations

import errno
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from app.api.deps import ServicesDep
from app.api.idempotency import REPLAYED, Once, OnceCall
from app.api.lists import ListQuery, list_body
from app.api.schemas.common import ListOf, gives, gives_file
from app.api.schemas.corpora import Chunk, Corpus, CorpusDeleted, Document, DocumentDeleted
from app.services import chunks, corpora, deletion, documents, uploads
from app.services.context import Services
from app.services.faults import invalid_body
from app.services.labels import Identifier, Label
from app.services.uploads import pieces
from app.store.disk import telling_full_disk
from corpora.errors import InvalidInputError, TooLargeError
from corpora.readers.decode import bad_control

router = APIRouter(prefix="/v1", tags=["corpora"])

#: Seconds that an upload's answer waits for its index job, and between two looks.
WAIT_S, LOOK_S = 10.0, 0.1
#: Characters of a text that are sent at a time.
TEXT_PIECE = 1 << 20
#: Bytes of a document sent as JSON, which is held in memory; a file is not.
MAX_JSON_BYTES = 16 << 20
#: Files of one form, and bytes of each that are held in memory before they go to the disk: 64 MB in all.
MAX_FILES, SPOOLED_BYTES = 1000, 1 << 16


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


class TextDocument(BaseModel):
    """A document sent as JSON."""

    model_config = ConfigDict(extra="forbid")
    title: Annotated[Label, Field(min_length=1, max_length=300)]
    text: Annotated[str, AfterValidator(_text)]


class UrlDocument(BaseModel):
    """A document that the service is to fetch; needs the setting ``URL_DOCUMENTS``."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[Identifier, Field(max_length=2000)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sent:
    """What a request asks to add: files with the title of them all, or an address."""

    files: tuple[tuple[str, str | None, BinaryIO], ...] = ()
    title: str | None = None
    url: str | None = None

    def parts(self) -> Iterator[bytes]:
        """What tells one request from another; files by their hash, read piece by piece."""
        if self.url is not None:
            yield from (b"url", self.url.encode())
        for name, _, file in self.files:
            found = hashlib.sha256()
            for piece in pieces(file):
                found.update(piece)
            yield from (name.encode("utf-8", "surrogatepass"), found.digest())


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
            "application/json": {"schema": {"oneOf": [m.model_json_schema() for m in (TextDocument, UrlDocument)]}},
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
    """Add documents: multipart ``file`` (one or many), or JSON ``{title, text}`` or ``{url}``. Waits up to 10 s.

    A file that cannot be read is a document with status ``failed`` and the reason; the others are processed.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("application/json"):
        return await run_in_threadpool(_add, services, once, corpus_id, _from_json(await _body(request)))
    if not content_type.startswith("multipart/form-data"):
        raise InvalidInputError(
            "Send documents as multipart/form-data with 'file', or as JSON {title, text} or {url}.", param="file"
        )
    form = await _form(request)
    try:
        return await run_in_threadpool(_add, services, once, corpus_id, _from_form(form))
    finally:
        await form.close()


def _add(services: Services, once: OnceCall, corpus_id: str, sent: _Sent) -> Any:
    def create(claimed: Services) -> dict[str, Any]:
        if sent.url is not None:
            return {"ids": uploads.add_url(claimed, corpus_id, sent.url)}
        return {"ids": uploads.upload_documents(claimed, corpus_id, sent.files, sent.title)}

    made = once(sent.parts(), create)
    if isinstance(made, dict):
        return list_body(_wait_processed(services, made["ids"]), has_more=False)
    # A repeated request gives the same documents, as they stand now.
    again = _wait_processed(services, json.loads(made.body)["ids"])
    return JSONResponse(list_body(again, has_more=False), headers=REPLAYED)


def _from_json(body: bytes) -> _Sent:
    """The one document of a JSON body."""
    try:
        given = from_json(body)
    except ValueError:
        given = None  # the validation below says what is wrong with it
    shape: type[BaseModel] = TextDocument
    try:
        if isinstance(given, dict) and "url" in given:
            shape = UrlDocument
            return _Sent(url=UrlDocument.model_validate_json(body).url)
        document = TextDocument.model_validate_json(body)
    except ValidationError as exc:
        raise invalid_body(exc, given, shape=shape) from exc
    file = BytesIO(document.text.encode())
    return _Sent(files=((f"{document.title}.md", "text/markdown", file),), title=document.title)


def _from_form(form: FormData) -> _Sent:
    """The files of a form."""
    parts = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
    if not parts:
        raise InvalidInputError("The form has no part named 'file'.", param="file")
    return _Sent(files=tuple((part.filename or "document.txt", part.content_type, part.file) for part in parts))


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_JSON_BYTES:
            raise TooLargeError(f"A document in JSON may have {MAX_JSON_BYTES >> 20} MB; send it as a file.")
    return bytes(body)


async def _form(request: Request) -> FormData:
    """The form, its files on the disk as soon as they are no small ones."""
    parser = MultiPartParser(request.headers, request.stream(), max_files=MAX_FILES)
    parser.spool_max_size = SPOOLED_BYTES
    try:
        with telling_full_disk("Make room on the disk of the temporary folder, then send the documents again."):
            return await parser.parse()
    except MultiPartException as exc:
        # The parser's own words: which of its limits, or where the form is cut.
        raise HTTPException(400, f"{exc.message} {exc.__cause__ or ''}".strip()) from exc
    except OSError as exc:
        if exc.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise TooLargeError("These are more files than can be open at once; send fewer in one request.") from exc


def _wait_processed(services: Services, ids: list[str]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WAIT_S
    while documents.any_processing(services, ids) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    return documents.documents_by_id(services, ids)


@router.get("/corpora/{corpus_id}/documents", response_model=None, responses=gives(ListOf[Document]))
def list_documents(corpus_id: str, services: ServicesDep, query: ListQuery) -> dict[str, Any]:
    """List a corpus's documents."""
    data, more = documents.list_documents(services, corpus_id, query.after, query.limit, query.order)
    return list_body(data, has_more=more)


@router.get("/documents/{document_id}", response_model=None, responses=gives(Document))
def get_document(document_id: str, services: ServicesDep) -> dict[str, Any]:
    """One document."""
    return documents.get_document(services, document_id)


@router.get(
    "/documents/{document_id}/text",
    response_class=Response,  # its media type would be taken for the errors' too
    responses=gives_file("text/plain", "The decoded text."),
)
def get_text(document_id: str, services: ServicesDep) -> StreamingResponse:
    """The decoded text that all offsets point into."""
    text = documents.document_text(services, document_id)
    # In pieces: as bytes a long document would lie in memory a second time.
    parts = (text[start : start + TEXT_PIECE].encode() for start in range(0, len(text), TEXT_PIECE))
    return StreamingResponse(parts, media_type="text/plain")


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
    return deletion.delete_document(services, document_id, delete_samples=delete_samples)
