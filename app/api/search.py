"""Routes of search in a corpus, and of the index that answers it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.api.deps import ServicesDep
from app.api.idempotency import Once
from app.api.schemas.common import gives
from app.api.schemas.corpora import CorpusIndexBody, SearchResult
from app.services import index_jobs, searching
from app.services.labels import Identifier
from retrieval.index import Mode

router = APIRouter(prefix="/v1", tags=["corpora"])


def _words(value: str) -> str:
    if not value.strip():
        raise ValueError("must hold more than blanks")
    return value


class SearchRequest(BaseModel):
    """The body of a search."""

    model_config = ConfigDict(extra="forbid")
    query: Annotated[str, Field(max_length=4000), AfterValidator(_words)]
    k: int = Field(5, ge=1, le=100)
    mode: Mode = Field(
        "hybrid",
        description="`lexical` compares words, `dense` the meaning that the embedder knows, `hybrid` both.",
    )
    document_ids: Annotated[list[Identifier], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Look in these documents only; a zip stands for the documents made of it."
    )
    diversity: float | None = Field(
        None, ge=0, le=1, description="How much passages that say the same are pushed back (MMR); null ranks by score."
    )


class BuildIndex(BaseModel):
    """The body of a request to embed a corpus anew."""

    model_config = ConfigDict(extra="forbid")
    embedder: Annotated[Identifier, Field(max_length=500)] | None = Field(
        None, description="As the setting `EMBEDDER` is written; null takes the one of the settings."
    )


@router.post("/corpora/{corpus_id}/search", response_model=None, responses=gives(SearchResult))
def search(corpus_id: str, body: SearchRequest, services: ServicesDep) -> dict[str, Any]:
    """Find the passages that answer a query best."""
    found = searching.search_corpus(
        services,
        corpus_id,
        body.query,
        body.k,
        mode=body.mode,
        document_ids=body.document_ids,
        diversity=body.diversity,
    )
    return {"data": found}


@router.get("/corpora/{corpus_id}/index", response_model=None, responses=gives(CorpusIndexBody))
def get_index(corpus_id: str, services: ServicesDep) -> dict[str, Any]:
    """The index that answers searches, and the last job on it."""
    return index_jobs.get_index(services, corpus_id)


@router.post("/corpora/{corpus_id}/index", response_model=None, responses=gives(CorpusIndexBody, creates=True))
def build_index(corpus_id: str, body: BuildIndex, once: Once) -> Any:
    """Embed every chunk anew, as a job; search goes on with the index that is there."""
    return once(body, lambda services: index_jobs.build_again(services, corpus_id, body.embedder))
