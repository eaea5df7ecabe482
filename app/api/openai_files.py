"""OpenAI's ``/v1/files``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import StreamingResponse

from app.api.deps import ServicesDep
from app.api.idempotency import Once
from app.api.lists import list_body
from app.api.schemas.common import ListOf, gives, gives_file
from app.api.schemas.openai import File as FileAnswer
from app.api.schemas.openai import FileDeleted
from app.services import files
from app.services.labels import check_label
from corpora.errors import InvalidInputError

router = APIRouter(prefix="/v1", tags=["files"])
BLOCK = 1 << 20


Anchor = Annotated[
    Literal["created_at"] | None, Form(alias="expires_after[anchor]", description="From when the seconds count.")
]
Lifetime = Annotated[
    int | None,
    Form(
        alias="expires_after[seconds]",
        ge=files.EXPIRES_AFTER_S[0],
        le=files.EXPIRES_AFTER_S[1],
        description="Seconds after which the file is gone.",
    ),
]


@router.post("/files", response_model=None, responses=gives(FileAnswer, creates=True))
def create_file(
    file: Annotated[UploadFile, File()],
    purpose: Annotated[str, Form()],
    once: Once,
    anchor: Anchor = None,
    seconds: Lifetime = None,
) -> Any:
    """Upload a training file."""
    name = check_label(file.filename or "training.jsonl", "file")
    if (anchor is None) != (seconds is None):
        missing = "anchor" if anchor is None else "seconds"
        raise InvalidInputError(
            f"expires_after needs both 'anchor' and 'seconds'; '{missing}' is missing.",
            param=f"expires_after[{missing}]",
        )

    def blocks() -> Iterator[bytes]:
        file.file.seek(0)
        return iter(lambda: file.file.read(BLOCK), b"")

    return once(
        chain((name.encode(), purpose.encode(), str(seconds).encode()), blocks()),
        lambda services: files.create_file(services, name, purpose, blocks(), seconds),
    )


@router.get("/files", response_model=None, responses=gives(ListOf[FileAnswer]))
def list_files(
    services: ServicesDep,
    after: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    purpose: Annotated[str | None, Query()] = None,
) -> dict[str, Any]:
    """List files."""
    data, more = files.list_files(services, after, limit, order, purpose)
    return list_body(data, has_more=more)


@router.get("/files/{file_id}", response_model=None, responses=gives(FileAnswer))
def get_file(file_id: str, services: ServicesDep) -> dict[str, Any]:
    """One file."""
    return files.get_file(services, file_id)


@router.get(
    "/files/{file_id}/content",
    response_class=StreamingResponse,
    responses=gives_file("application/octet-stream", "The bytes, as they were uploaded or made."),
)
def get_content(file_id: str, services: ServicesDep) -> StreamingResponse:
    """A file's bytes."""
    return StreamingResponse(files.read_file_bytes(services, file_id), media_type="application/octet-stream")


@router.delete("/files/{file_id}", response_model=None, responses=gives(FileDeleted))
def delete_file(file_id: str, services: ServicesDep) -> dict[str, Any]:
    """Remove a file."""
    return files.delete_file(services, file_id)
